"""``sparft simulate``: curricula compared without a model, before GPUs are rented."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sparft_plugin.corpus import Columns, Corpus
from sparft_plugin.difficulty.rollouts import read_join_keys, read_rollouts
from sparft_plugin.errors import SparftError, import_extra, unknown_name
from sparft_plugin.plugins import registered
from sparft_plugin.prompts import PromptTable
from sparft_plugin.simulate import SCENARIOS, Method, Replay, Setting, compare
from sparft_plugin.simulate.policy import POLICIES
from sparft_plugin.simulate.replay import LoggedRun
from sparft_plugin.simulate.show import draw, table

ALL, POLICY, DEFAULT = "all", "policy", "transfer"
ARM_KEY = "extra_info.sparft.arm"
CHANGED = ("steps", "batch_size", "group_size", "delay")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "simulate",
        help="compare curricula without a model",
        description="Compare curricula on simulated learners, on small policies that GRPO trains, "
        "or on the rollouts of a logged run.",
    )
    parser.add_argument(
        "--methods",
        nargs="+",
        default=[ALL],
        metavar="NAME[:OPTION=VALUE...]",
        help="registered curricula with options and wrappers, such as sec:temperature=0.2 or "
        "sparft:share_floor=0.02; all leaves out those that need an option (default: all); "
        "uniform always runs",
    )
    parser.add_argument(
        "--scenario",
        nargs="+",
        default=[DEFAULT],
        metavar="NAME",
        help=f"simulated learners, small policies ({', '.join(POLICIES)}; {POLICY} is all of "
        f"these), or all; an unknown name lists them (default: {DEFAULT})",
    )
    parser.add_argument(
        "--replay",
        type=Path,
        metavar="DIR",
        help="a run's trainer.rollout_data_dir instead of scenarios; needs --data",
    )
    parser.add_argument(
        "--data", nargs="+", metavar="IN", help="the data that the replayed run was trained on"
    )
    parser.add_argument(
        "--arm-key",
        default=ARM_KEY,
        metavar="COLUMN",
        help=f"column of arms in --data (default: {ARM_KEY}, as sparft reduce writes it)",
    )
    parser.add_argument("--seeds", type=int, default=20, metavar="N", help="default: 20")
    for name, what in (
        ("steps", "steps of a run"),
        ("batch-size", "groups in a step"),
        ("group-size", "rollouts in a group"),
        ("delay", "steps by which the curriculum hears of groups late"),
    ):
        parser.add_argument(
            f"--{name}", type=int, metavar="N", help=f"{what} (default: the scenario's)"
        )
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="FOLDER",
        help="write simulation.json, simulation.md and a picture of each scenario here",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Compare, print the tables and write the files; nothing is run if an option is wrong."""
    methods, settings = _methods(arguments.methods), _settings(arguments)
    folder: Path | None = arguments.out
    if folder is not None:
        import_extra("report", "the picture", "matplotlib")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SparftError(f"the folder {folder} cannot be made: {error}") from error
    found = []
    for name, setting in settings.items():

        def say(label: str, scenario: str = name) -> None:
            if sys.stderr.isatty():
                sys.stderr.write(f"{scenario}: {label}\n")

        lenient = ALL in arguments.methods
        made = compare(methods, name, setting, arguments.seeds, lenient=lenient, progress=say)
        found.append(made)
        sys.stdout.write(table(made) + "\n")
    if folder is not None:
        result = {"seeds": arguments.seeds, "scenarios": {c.scenario: c.as_json() for c in found}}
        (folder / "simulation.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
        text = "\n".join(map(table, found))
        (folder / "simulation.md").write_text(text, encoding="utf-8")
        for comparison in found:
            draw(comparison, folder / f"{comparison.scenario}.png")
        sys.stdout.write(f"wrote simulation.json, simulation.md and pictures to {folder}\n")
    return 0


def _methods(texts: Sequence[str]) -> list[Method]:
    names = list(registered("curriculum")) if ALL in texts else []
    return [Method.parse(text) for text in [*names, *texts] if text != ALL]


def _settings(arguments: argparse.Namespace) -> dict[str, Setting]:
    given = {name: value for name in CHANGED if (value := getattr(arguments, name)) is not None}
    if arguments.replay is not None:
        return {"replay": _replay(arguments, given)}
    if arguments.data is not None:
        raise SparftError("--data goes with --replay DIR; add it or leave --data out.")
    found: dict[str, Setting] = {}
    families = {ALL: list(SCENARIOS), POLICY: list(POLICIES)}
    for name in arguments.scenario:
        for one in families.get(name, [name]):
            if one not in SCENARIOS:
                raise unknown_name("scenario", one, [*SCENARIOS, POLICY, ALL])
            found[one] = replace(SCENARIOS[one], **given)
    return found


def _replay(arguments: argparse.Namespace, given: Mapping[str, int]) -> Setting:
    if not arguments.data:
        raise SparftError("--replay needs --data, the files that the run was trained on.")
    corpus = Corpus.open(arguments.data, Columns())
    prompts = PromptTable.from_corpus(corpus, label_keys=[arguments.arm_key])
    arms = prompts.labels[arguments.arm_key].astype(np.int64)
    curves = read_rollouts(arguments.replay, read_join_keys(prompts, corpus)).curves
    log = Replay(prompts.ids, arms, curves)
    about = f"the log {arguments.replay}, {len(log.pool)} of {len(prompts)} prompts"
    return LoggedRun(about, **given, log=log)
