"""The options of ``sparft reduce``."""

from __future__ import annotations

import argparse

from sparft_plugin.cli.corpus_options import add_corpus_options
from sparft_plugin.plugins import read_options, registered
from sparft_plugin.reduction.config import ALL, AUTO, ReductionConfig
from sparft_plugin.reduction.encode import ENGINES, check_engine

DEFAULTS = ReductionConfig()


def add(parser: argparse.ArgumentParser) -> None:
    """Add inputs, output, sources of difficulty, hygiene, method and engine."""
    add_corpus_options(parser)
    add = parser.add_argument
    add(
        "-o", "--output", required=True, metavar="OUT.parquet", help="file to write, never an input"
    )
    add("--overwrite", action="store_true", help="replace files that exist")
    add(
        "--dry-run",
        action="store_true",
        help="print options, rows and an estimate of time and memory; write nothing",
    )
    add(
        "--report",
        nargs="?",
        const="",
        metavar="PAGE.html",
        help="also write a page that shows what was kept (default name: OUT.html)",
    )
    add(
        "--difficulty",
        action="append",
        default=[],
        metavar="SOURCE",
        help="column:NAME[@LO:HI], solved:FILE of sparft difficulty, rollouts:DIR of verl's "
        "trainer.rollout_data_dir, or none; repeat it, the most trusted first (default: meaning "
        "only)",
    )
    add("--difficulty-key", metavar="COLUMN", help="the same as --difficulty column:COLUMN")
    add(
        "--embeddings",
        metavar="SOURCE",
        help="FILE.npy with one vector per row, or column:NAME (default: encode the texts)",
    )
    add(
        "--decontaminate",
        nargs="+",
        action="extend",
        default=[],
        metavar="EVAL",
        help="evaluation sets whose prompts must not be kept; the pairs go to OUT.pairs.jsonl",
    )
    _add_method(parser)
    add(
        "--engine",
        default="local",
        metavar="NAME",
        help=f"{' or '.join(ENGINES)}; ray encodes with Ray Data, for corpora beyond one machine; "
        "the result is the same (default: local)",
    )


def _add_method(parser: argparse.ArgumentParser) -> None:
    selectors = ", ".join(sorted(registered("selector")))
    embedders = ", ".join(sorted(registered("embedder")))
    options: list[tuple[str, type, str]] = [
        ("clusters", str, f"arms, or {AUTO}; time grows in proportion"),
        ("per_cluster", int, "prompts kept of each arm; training sees clusters x per-cluster"),
        ("budget", str, "prompts kept in all instead: 500, 2%% or '50000 tokens'"),
        ("tokenizer", str, "counts the tokens of a budget"),
        (
            "pool",
            str,
            f"prompts that are looked at, a random sample: a number, {AUTO} or {ALL}; "
            f"{AUTO} is 25 for each that is kept, and at least 2500",
        ),
        ("difficulty_weight", float, "difficulty against meaning in the distance; free"),
        ("pca_components", int, "dimensions of meaning; time grows in proportion"),
        ("selector", str, f"rule that keeps representatives: {selectors}; medoid is the slowest"),
        ("near_duplicates", float, "cosine from which one of two prompts is left out"),
        ("encoder", str, "text encoder, local folder or hub id; the main cost, larger is slower"),
        ("embedder", str, f"class that runs the encoder: {embedders}"),
        ("seed", int, "seed of every random choice; free"),
    ]
    for name, kind, text in options:
        default = getattr(DEFAULTS, name)
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=kind,
            default=default,
            metavar={int: "N", float: "X", str: "NAME"}[kind],
            help=f"{text} (default: {'none' if default is None else default})",
        )
    for method, example in (("selector", "sample=500"), ("embedder", "precision=auto")):
        parser.add_argument(
            f"--{method}-option",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help=f"an option of the {method}, such as {example}; may be repeated (default: none)",
        )


def config_of(arguments: argparse.Namespace) -> ReductionConfig:
    """Check the method's options; ``--difficulty-key`` becomes a source of difficulty."""
    check_engine(arguments.engine)
    names = ReductionConfig.__dataclass_fields__
    given = {name: value for name, value in vars(arguments).items() if name in names}
    for name in ("clusters", "pool"):
        if str(given[name]).lstrip("-").isdigit():
            given[name] = int(given[name])
    for kind in ("selector", "embedder"):
        texts = getattr(arguments, f"{kind}_option")
        given[f"{kind}_options"] = read_options(f"--{kind}-option", texts)
    if arguments.difficulty_key:
        arguments.difficulty = [f"column:{arguments.difficulty_key}", *arguments.difficulty]
    return ReductionConfig(**given)
