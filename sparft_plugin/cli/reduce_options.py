"""The options of ``sparft reduce``."""

from __future__ import annotations

import argparse

from sparft_plugin.cli.corpus_options import add_corpus_options
from sparft_plugin.plugins import read_options, registered
from sparft_plugin.reduction.config import AUTO, ReductionConfig
from sparft_plugin.reduction.engines.base import ENGINES, check_engine

DEFAULTS = ReductionConfig()


def add(parser: argparse.ArgumentParser) -> None:
    """Add inputs, output, sources of difficulty, hygiene, method and engine."""
    add_corpus_options(parser)
    parser.add_argument(
        "-o", "--output", required=True, metavar="OUT.parquet", help="file to write, never an input"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print options, rows and an estimate of time and memory; write nothing",
    )
    parser.add_argument(
        "--report",
        nargs="?",
        const="",
        metavar="PAGE.html",
        help="also write a page that shows what was kept (default name: OUT.html)",
    )
    _add_data(parser)
    _add_method(parser)


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--difficulty",
        action="append",
        default=[],
        metavar="SOURCE",
        help="column:NAME[@LO:HI], solved:FILE of sparft difficulty, rollouts:DIR of verl's "
        "trainer.rollout_data_dir, or none; repeat it, the most trusted first (default: meaning "
        "only)",
    )
    parser.add_argument(
        "--difficulty-key", metavar="COLUMN", help="the same as --difficulty column:COLUMN"
    )
    parser.add_argument(
        "--embeddings",
        metavar="SOURCE",
        help="FILE.npy with one vector per row, or column:NAME (default: encode the texts)",
    )
    parser.add_argument(
        "--decontaminate",
        nargs="+",
        action="extend",
        default=[],
        metavar="EVAL",
        help="evaluation sets whose prompts must not be kept; the pairs go to OUT.pairs.jsonl",
    )


def _add_method(parser: argparse.ArgumentParser) -> None:
    selectors = ", ".join(sorted(registered("selector")))
    embedders = ", ".join(sorted(registered("embedder")))
    options: list[tuple[str, type, str]] = [
        ("clusters", str, f"arms, or {AUTO}; time grows in proportion"),
        ("per_cluster", int, "prompts kept of each arm; training sees clusters x per-cluster"),
        ("budget", str, "prompts kept in all instead: 500, 2%% or '50000 tokens'"),
        ("tokenizer", str, "counts the tokens of a budget"),
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
    for method, example in (("selector", "sample=500"), ("embedder", "precision=bfloat16")):
        parser.add_argument(
            f"--{method}-option",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help=f"an option of the {method}, such as {example}; may be repeated (default: none)",
        )
    parser.add_argument(
        "--engine",
        default="local",
        metavar="NAME",
        help=f"{' or '.join(ENGINES)}; ray encodes and assigns with Ray Data, for corpora beyond "
        "one machine; the result is the same (default: local)",
    )


def config_of(arguments: argparse.Namespace) -> ReductionConfig:
    """Check the method's options; ``--difficulty-key`` becomes a source of difficulty.

    Raises
    ------
    SparftError
        Naming the option that is out of range.
    """
    check_engine(arguments.engine)
    names = ReductionConfig.__dataclass_fields__
    given = {name: value for name, value in vars(arguments).items() if name in names}
    if given["clusters"] != AUTO and str(given["clusters"]).lstrip("-").isdigit():
        given["clusters"] = int(given["clusters"])
    for kind in ("selector", "embedder"):
        texts = getattr(arguments, f"{kind}_option")
        given[f"{kind}_options"] = read_options(f"--{kind}-option", texts)
    if arguments.difficulty_key:
        arguments.difficulty = [f"column:{arguments.difficulty_key}", *arguments.difficulty]
    return ReductionConfig(**given)
