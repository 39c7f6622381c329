"""A reduction as a table on the terminal."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction.result import Reduction

EXAMPLE_WIDTH = 56


def summary(prompts: PromptTable, reduction: Reduction) -> str:
    """Table of the arms: prompts in the pool, kept, difficulty, radius, words and an example."""
    lines = [
        f"kept {len(reduction)} of {len(prompts)} prompts in {len(reduction.counts)} arms; "
        f"{reduction.duplicates} duplicate rows left out, "
        f"{reduction.shortfall} missing in small arms.",
    ]
    if reduction.hygiene is not None:
        looked = ("contaminated", "contaminated"), ("near_duplicates", "near-duplicates")
        found = [(reduction.manifest[key], name) for key, name in looked]
        counts = ", ".join(f"{count} {name}" for count, name in found if count is not None)
        lines.append(f"left out: {counts}; the pairs are written beside the output.")
    position = dict(zip(prompts.ids, range(len(prompts)), strict=True))
    lines.append(_coverage_line(reduction))
    lines.append(f"{'arm':>4} {'pool':>7} {'kept':>5} {'difficulty':>10} {'radius':>6}  example")
    for entry in reduction.manifest["arms"]:
        first = int(np.searchsorted(reduction.arms, entry["arm"]))
        example = prompts.texts[position[reduction.ids[first]]] if entry["kept"] else "-"
        lines.append(_arm_line(entry, example))
    return "\n".join(lines) + "\n"


def _coverage_line(reduction: Reduction) -> str:
    without = sum(count == 0 for count in reduction.counts)
    if without:
        return (
            f"coverage: arms without a kept prompt: {without}; raise the budget or lower clusters."
        )
    return (
        f"coverage: every prompt has a kept one of its arm within {reduction.coverage_radius:.2f}, "
        f"{reduction.mean_distance:.2f} on average (1 = spread of the corpus)."
    )


def _arm_line(entry: dict[str, Any], example: str) -> str:
    mean = entry["mean_difficulty"]
    difficulty = "-" if mean is None else f"{mean:.2f}"
    words = " ".join("".join(c if c.isprintable() else " " for c in example).split())
    short = words if len(words) <= EXAMPLE_WIDTH else words[: EXAMPLE_WIDTH - 1] + "…"
    radius = "-" if entry["radius"] is None else f"{entry['radius']:.2f}"
    return (
        f"{entry['arm']:>4} {entry['pool']:>7} {entry['kept']:>5} {difficulty:>10} {radius:>6}"
        f"  {short}\n      {', '.join(entry['words'])}"
    )


def say(text: str) -> None:
    """Write to stdout; characters that it cannot encode become question marks."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
