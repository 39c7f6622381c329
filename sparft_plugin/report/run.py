"""A run as a table, and as a picture of which arms were picked and how the pass rate went."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError, import_extra
from sparft_plugin.report.metrics import Step, picks_per_arm, series

WINDOW = 5
SHARES = {
    "pass rate in training": "sparft/pass_rate",
    "wasted groups": "sparft/wasted_group_share",
    "reward, outcome": "sparft/reward/outcome",
    "reward, exploit": "sparft/reward/exploit",
    "reward, explore": "sparft/reward/explore",
}
COUNTS = {
    "unique prompts": "sparft/curriculum/unique_prompts",
    "memory, success": "sparft/memory/success",
    "memory, failure": "sparft/memory/failure",
}


def table(steps: Sequence[Step]) -> str:
    """Arms, then the figures of the whole; pass rates compare the first and the last quarter."""
    lines = []
    picks = picks_per_arm(steps)
    if len(picks):
        lines.append("arm   picks   share   pass rate: first quarter -> last quarter")
        total = max(np.nansum(picks), 1)
        for arm, count in enumerate(np.nansum(picks, axis=1)):
            change = _change(series(steps, f"sparft/curriculum/arm_{arm}/pass_rate"))
            lines.append(f"{arm:>3} {int(count):>7} {count / total:>7.1%}   {change}")
        lines.append("")
    for label, name in SHARES.items():
        values = series(steps, name)
        if _known(values).size:
            lines.append(f"{label:<24}{_change(values)}")
    for label, name in COUNTS.items():
        held = _known(series(steps, name))
        if held.size:
            lines.append(f"{label:<24}{int(held[-1])}")
    seconds = _known(series(steps, "timing_s/step"))
    ours = _known(series(steps, "sparft/ms/plugin"))
    if seconds.size and ours.size:
        lines.append(
            f"{'time per step':<24}{np.median(seconds):.2f} s, of which in the plugin "
            f"{np.median(ours):.0f} ms (medians of {len(steps)} steps)"
        )
    return "\n".join(lines) + "\n"


def draw(steps: Sequence[Step], path: Path) -> None:
    """Draw picks per arm (if there is a curriculum) above the pass rate, as PNG."""
    import_extra("report", "the picture", "matplotlib")
    from matplotlib.figure import Figure

    picks = picks_per_arm(steps)
    numbers = [step.step for step in steps]
    span = (numbers[0] - 0.5, numbers[-1] + 0.5)
    figure = Figure(figsize=(9, 6.5 if len(picks) else 3.5), layout="constrained")
    rows = 2 if len(picks) else 1
    if len(picks):
        arms = figure.add_subplot(rows, 1, 1)
        image = arms.imshow(
            picks,
            aspect="auto",
            cmap="Blues",
            interpolation="nearest",
            extent=(*span, len(picks) - 0.5, -0.5),
        )
        arms.set_yticks(range(len(picks)))
        arms.set(ylabel="arm", title="Picks per arm")
        figure.colorbar(image, ax=arms, label="picks in a step")
    rates = figure.add_subplot(rows, 1, rows)
    for label, colour in (("pass rate in training", "tab:blue"), ("wasted groups", "tab:gray")):
        values = series(steps, SHARES[label])
        # Groups of one rollout are never wasted, and no run tells of them.
        if _known(values).size:
            rates.plot(numbers, values, ".", color=colour, alpha=0.35)
            smooth = running_mean(values)
            rates.plot(numbers, smooth, color=colour, label=f"{label}, mean of {WINDOW}")
    rates.set(xlabel="step", xlim=span, ylim=(0, 1), title="Training prompts, sampled rollouts")
    if rates.get_lines():
        rates.legend(loc="upper left", frameon=False)
    rates.spines[["top", "right"]].set_visible(False)
    try:
        figure.savefig(path, dpi=150, format="png")
    except OSError as error:
        raise SparftError(f"{path} cannot be written: {error}") from error


def running_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the last ``WINDOW`` values at each step, NaN left out; fewer at the start."""
    windows = [_known(values[max(0, i + 1 - WINDOW) : i + 1]) for i in range(len(values))]
    return np.array([window.mean() if window.size else np.nan for window in windows])


def _change(values: NDArray[np.float64]) -> str:
    """Means of the first and the last quarter of the steps."""
    quarter = max(1, len(values) // 4)
    means = (_known(part) for part in (values[:quarter], values[-quarter:]))
    return " -> ".join(f"{part.mean():>6.1%}" if part.size else "     -" for part in means)


def _known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    known: NDArray[np.float64] = values[~np.isnan(values)]
    return known
