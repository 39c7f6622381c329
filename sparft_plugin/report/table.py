"""A table of a run: arms, then the figures of the whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.report.metrics import Step, picks_per_arm, series


def table(steps: Sequence[Step]) -> str:
    """Return the table as text.

    Pass rates compare the first with the last quarter of the steps.
    """
    quarter = max(1, len(steps) // 4)
    lines = []
    picks = picks_per_arm(steps)
    if len(picks):
        lines.append("arm   picks   share   pass rate: first quarter -> last quarter")
        for arm, made in enumerate(picks):
            rate = series(steps, f"sparft/curriculum/arm_{arm}/pass_rate")
            change = f"{_percent(rate[:quarter])} -> {_percent(rate[-quarter:])}"
            count = np.nansum(made)
            share = count / max(np.nansum(picks), 1)
            lines.append(f"{arm:>3} {int(count):>7} {share:>7.1%}   {change}")
        lines.append("")
    for label, name in (
        ("pass rate in training", "sparft/pass_rate"),
        ("wasted groups", "sparft/wasted_group_share"),
        ("reward, outcome", "sparft/reward/outcome"),
        ("reward, exploit", "sparft/reward/exploit"),
        ("reward, explore", "sparft/reward/explore"),
    ):
        values = series(steps, name)
        if _known(values).size:
            first, last = _percent(values[:quarter]), _percent(values[-quarter:])
            lines.append(f"{label:<24}{first} -> {last}")
    for label, name in (
        ("unique prompts", "sparft/curriculum/unique_prompts"),
        ("memory, success", "sparft/memory/success"),
        ("memory, failure", "sparft/memory/failure"),
    ):
        held = _known(series(steps, name))
        if held.size:
            lines.append(f"{label:<24}{int(held[-1])}")
    seconds, ours = (
        _known(series(steps, "timing_s/step")),
        _known(series(steps, "sparft/ms/plugin")),
    )
    if seconds.size and ours.size:
        lines.append(
            f"{'time per step':<24}{np.median(seconds):.2f} s, of which in the plugin "
            f"{np.median(ours):.0f} ms (medians of {len(steps)} steps)"
        )
    return "\n".join(lines) + "\n"


def _percent(values: NDArray[np.float64]) -> str:
    known = _known(values)
    return f"{known.mean():>6.1%}" if known.size else "     -"


def _known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    known: NDArray[np.float64] = values[~np.isnan(values)]
    return known
