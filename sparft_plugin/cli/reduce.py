"""``sparft reduce``: a training file in, a small training file with arms out."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction.config import ReductionConfig
from sparft_plugin.reduction.pipeline import reduce
from sparft_plugin.reduction.result import Reduction
from sparft_plugin.reduction.write import check_output, manifest_path, write_reduced

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

EXAMPLE_WIDTH = 56
DEFAULTS = ReductionConfig()


def add_parser(subparsers: Subparsers) -> None:
    """Add the command ``reduce`` and its options."""
    parser = subparsers.add_parser(
        "reduce",
        help="keep a few prompts that stand for all",
        description="Keep clusters x per-cluster prompts of a training file in verl's schema.",
    )
    parser.add_argument("inputs", nargs="+", metavar="IN.parquet", help="training files")
    parser.add_argument(
        "-o", "--output", required=True, metavar="OUT.parquet", help="file to write, never an input"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace OUT.parquet if it exists")
    parser.add_argument(
        "--prompt-key", default="prompt", metavar="COLUMN", help="chat messages (default: prompt)"
    )
    parser.add_argument(
        "--difficulty-key",
        metavar="COLUMN",
        help="difficulty labels, such as extra_info.difficulty (default: none, meaning only)",
    )
    _add_method_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Reduce the input files, write the output and summarise it on stdout.

    Raises
    ------
    SparftError
        If an input, an option or the output is bad; no file is written then.
    """
    check_output(arguments.output, arguments.inputs, overwrite=arguments.overwrite)
    names = ReductionConfig.__dataclass_fields__
    given = {name: value for name, value in vars(arguments).items() if name in names}
    config = ReductionConfig(**given)
    prompts = PromptTable.from_parquet(
        arguments.inputs, prompt_key=arguments.prompt_key, difficulty_key=config.difficulty_key
    )
    reduction = reduce(prompts, config)
    write_reduced(arguments.inputs, reduction, arguments.output, overwrite=arguments.overwrite)
    _say(summary(prompts, reduction))
    _say(f"wrote {arguments.output} and {manifest_path(arguments.output)}\n")
    return 0


def summary(prompts: PromptTable, reduction: Reduction) -> str:
    """Table of the arms: prompts in the pool, kept, their mean difficulty, and the first one."""
    text = dict(zip(prompts.ids, prompts.texts, strict=True))
    lines = [
        f"kept {len(reduction)} of {len(prompts)} prompts in {len(reduction.counts)} arms; "
        f"{reduction.duplicates} duplicate rows left out, "
        f"{reduction.shortfall} missing in small arms.",
        f"{'arm':>4} {'pool':>7} {'kept':>5} {'difficulty':>10}  example",
    ]
    for entry in reduction.manifest["arms"]:
        first = reduction.ids[int(np.argmax(reduction.arms == entry["arm"]))]
        lines.append(_arm_line(entry, text[first]))
    return "\n".join(lines) + "\n"


def _add_method_options(parser: argparse.ArgumentParser) -> None:
    options: list[tuple[str, type, str]] = [
        ("clusters", int, "arms; more cost k-means time in proportion"),
        ("per_cluster", int, "prompts kept of each arm; training sees clusters x per-cluster"),
        ("difficulty_weight", float, "difficulty against meaning in the distance; free"),
        ("pca_components", int, "dimensions of meaning; more cost k-means time in proportion"),
        ("selector", str, "rule that keeps representatives: farthest_point or random; free"),
        ("encoder", str, "text encoder, local folder or hub id; the main cost, larger is slower"),
        ("embedder", str, "registered class that runs the encoder"),
        ("seed", int, "seed of every random choice; free"),
    ]
    for name, kind, text in options:
        default = getattr(DEFAULTS, name)
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=kind,
            default=default,
            metavar={int: "N", float: "X", str: "NAME"}[kind],
            help=f"{text} (default: {default})",
        )


def _arm_line(entry: dict[str, Any], example: str) -> str:
    mean = entry["mean_difficulty"]
    difficulty = "-" if mean is None else f"{mean:.2f}"
    words = " ".join("".join(c if c.isprintable() else " " for c in example).split())
    short = words if len(words) <= EXAMPLE_WIDTH else words[: EXAMPLE_WIDTH - 1] + "…"
    return f"{entry['arm']:>4} {entry['pool']:>7} {entry['kept']:>5} {difficulty:>10}  {short}"


def _say(text: str) -> None:
    """Write to stdout; characters that it cannot encode become question marks."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
