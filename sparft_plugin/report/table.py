"""A table of a run: arms, then the figures of the whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

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
            share = made.sum() / picks.sum()
            lines.append(f"{arm:>3} {int(made.sum()):>7} {share:>7.1%}   {change}")
        lines.append("")
    for label, name in (
        ("pass rate in training", "sparft/pass_rate"),
        ("wasted groups", "sparft/wasted_group_share"),
        ("reward, outcome", "sparft/reward/outcome"),
        ("reward, exploit", "sparft/reward/exploit"),
        ("reward, explore", "sparft/reward/explore"),
    ):
        values = series(steps, name)
        if not np.isnan(values).all():
            first, last = _percent(values[:quarter]), _percent(values[-quarter:])
            lines.append(f"{label:<24}{first} -> {last}")
    unique = series(steps, "sparft/curriculum/unique_prompts")
    if not np.isnan(unique).all():
        lines.append(f"{'unique prompts':<24}{int(unique[-1])}")
    for store in ("success", "failure"):
        held = series(steps, f"sparft/memory/{store}")
        if not np.isnan(held).all():
            lines.append(f"{'memory, ' + store:<24}{int(held[-1])}")
    step_s, plugin_ms = series(steps, "timing_s/step"), series(steps, "sparft/ms/plugin")
    lines.append(
        f"{'time per step':<24}{np.nanmedian(step_s):.2f} s, of which in the plugin "
        f"{np.nanmedian(plugin_ms):.0f} ms (medians of {len(steps)} steps)"
    )
    return "\n".join(lines) + "\n"


def _percent(values: np.ndarray) -> str:
    known = values[~np.isnan(values)]
    return f"{known.mean():>6.1%}" if known.size else "     -"
