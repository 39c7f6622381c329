"""``sparft difficulty``: the solve rate of each prompt by a model, with the rows' own verifier."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sparft_plugin.cli.corpus_options import add_corpus_options, corpus_of
from sparft_plugin.cli.measuring import check_output, interrupted, progress
from sparft_plugin.difficulty.attempts import AttemptLog, Tally
from sparft_plugin.difficulty.engine import Generator, VllmGenerator
from sparft_plugin.difficulty.sampling import Sampling
from sparft_plugin.difficulty.solve import measure
from sparft_plugin.difficulty.solved_file import write_solved
from sparft_plugin.difficulty.verifier import SOLVED_ABOVE, load_verifier
from sparft_plugin.errors import SparftError
from sparft_plugin.plugins import read_options
from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction.embedders.models import model_identity

DEFAULTS = Sampling()
BATCH = 128
NO_SAMPLE = {
    "cpu_offload_gb",
    "enable_chunked_prefill",
    "enable_prefix_caching",
    "enforce_eager",
    "gpu_memory_utilization",
    "kv_cache_memory_bytes",
    "max_num_batched_tokens",
    "max_num_seqs",
}
"""Engine options that change speed and memory but no sample: a log may go on with others."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command ``difficulty`` and its options."""
    parser = subparsers.add_parser(
        "difficulty",
        help="measure how often a model solves each prompt",
        description=(
            "Attempt each prompt with a model through vLLM, judge every response with the rows' "
            "own verifier and write difficulty = 1 - solve rate. Every attempt is logged beside "
            "the output, and the same command goes on after an interruption or a kill."
        ),
    )
    add_corpus_options(parser)
    parser.add_argument(
        "-o", "--output", required=True, type=Path, metavar="SOLVED.jsonl", help="file to write"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="start over, without the attempts logged so far"
    )
    parser.add_argument(
        "--model", required=True, metavar="NAME", help="local folder or Hugging Face hub id"
    )
    parser.add_argument(
        "--verifier",
        metavar="FILE.py:FUNCTION",
        help="reward function as verl's custom_reward_function (default: verl's, by data_source)",
    )
    parser.add_argument(
        "--solved-above",
        type=float,
        default=SOLVED_ABOVE,
        metavar="SCORE",
        help="a response without 'acc' is solved above this score (default: %(default)s)",
    )
    _add_sampling(parser)
    _add_engine(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure what is not measured yet, write the output and summarise it on stdout.

    Raises
    ------
    SparftError
        If an input, an option or the output is bad; attempts made so far stay in the log.
    """
    out: Path = arguments.output
    log_path = attempts_path(out)
    _check_output(out, log_path, arguments)
    sampling = Sampling(**{name: getattr(arguments, name) for name in vars(DEFAULTS)})
    options = {"dtype": arguments.dtype, **_engine_options(arguments.engine_option)}
    verifier = load_verifier(arguments.verifier)
    corpus = corpus_of(arguments)
    prompts = PromptTable.from_corpus(corpus)
    settings = {
        "model": model_identity(arguments.model),
        **vars(sampling),
        "engine": {key: value for key, value in options.items() if key not in NO_SAMPLE},
        "verifier": verifier.identity,
        "prompts": prompts.fingerprint,
    }

    with AttemptLog(log_path, settings, overwrite=arguments.overwrite) as log:
        known = len(log.done)
        with progress(len(prompts), known) as bar:

            def start() -> Generator:
                parallel = {"tensor_parallel_size": arguments.tensor_parallel_size}
                generator = VllmGenerator(arguments.model, sampling, {**parallel, **options})
                # Loading the model is no part of the rate.
                bar.unpause()
                return generator

            try:
                measure(
                    prompts,
                    corpus,
                    log,
                    verifier,
                    start,
                    batch=arguments.batch,
                    seed=sampling.seed,
                    advance=bar.update,
                )
            except KeyboardInterrupt:
                return interrupted(bar, len(log.done), log_path)
        tallies = log.tallies(arguments.solved_above)
    write_solved(out, prompts, tallies, {**settings, "solved_above": arguments.solved_above})
    sys.stdout.write(summary(prompts, tallies, known))
    sys.stdout.write(f"wrote {out} and {log_path}\n")
    return 0


def attempts_path(out: Path) -> Path:
    """``SOLVED.attempts.jsonl`` for ``SOLVED.jsonl``."""
    return out.with_suffix(".attempts.jsonl")


def summary(prompts: PromptTable, tallies: Mapping[str, Tally], known: int) -> str:
    """Say how many prompts were measured, and how their solve rates lie.

    Parameters
    ----------
    prompts : PromptTable
        All prompts.
    tallies : mapping
        What came out, by prompt id.
    known : int
        Prompts whose attempts were in the log already.
    """
    rates = [tallies[key].solve_rate for key in prompts.ids if tallies[key].attempts]
    too_long = len(prompts) - len(rates)
    lines = [
        f"measured {len(rates)} of {len(prompts)} prompts, {known} of them in an earlier run; "
        f"{too_long} too long for the model and left out."
    ]
    if rates:
        never, always = sum(r == 0.0 for r in rates), sum(r == 1.0 for r in rates)
        lines.append(
            f"mean solve rate {math.fsum(rates) / len(rates):.3f}; never solved {never}, "
            f"sometimes {len(rates) - never - always}, always {always}."
        )
    return "\n".join(lines) + "\n"


def _add_sampling(parser: argparse.ArgumentParser) -> None:
    texts: list[tuple[str, type, str]] = [
        ("attempts", int, "responses per prompt; the cost grows in proportion"),
        ("temperature", float, "sampling temperature"),
        ("top_p", float, "nucleus that tokens are drawn from"),
        ("max_tokens", int, "longest response in tokens"),
        ("seed", int, "seed of all samples"),
    ]
    for name, kind, text in texts:
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=kind,
            default=getattr(DEFAULTS, name),
            metavar={int: "N", float: "X"}[kind],
            help=f"{text} (default: %(default)s)",
        )


def _add_engine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--batch",
        type=int,
        default=BATCH,
        metavar="PROMPTS",
        help="prompts between two writes to the log; larger is faster (default: %(default)s)",
    )
    parser.add_argument(
        "--dtype", default="auto", metavar="NAME", help="of the weights (default: %(default)s)"
    )
    parser.add_argument(
        "--tensor-parallel-size",
        type=int,
        default=1,
        metavar="N",
        help="GPUs that share the model (default: %(default)s)",
    )
    parser.add_argument(
        "--engine-option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="further argument of vllm.LLM, such as max_model_len=4096; may be repeated",
    )


def _engine_options(given: Sequence[str]) -> dict[str, Any]:
    options = read_options("--engine-option", given)
    for key in options:
        if key in ("model", "seed", "dtype", "tensor_parallel_size"):
            raise SparftError(
                f"the engine option '{key}' has its own flag; use --{key.replace('_', '-')}."
            )
    return options


def _check_output(out: Path, log_path: Path, arguments: argparse.Namespace) -> None:
    check_output(out, arguments.inputs, log_path)
    # With its log beside it, the output can be made again from the attempts, so nothing is lost.
    if out.exists() and not log_path.exists() and not arguments.overwrite:
        raise SparftError(f"{out} already exists; pass --overwrite or choose another output.")
