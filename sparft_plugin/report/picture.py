"""The picture of a run: which arms were picked, and how the pass rate went."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError
from sparft_plugin.report.metrics import Step, picks_per_arm, series

WINDOW = 5


def draw(steps: Sequence[Step], path: Path) -> None:
    """Draw picks per arm (if there is a curriculum) above the pass rate, as PNG.

    Raises
    ------
    SparftError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SparftError(
            "the picture needs matplotlib; pip install 'sparft-plugin[report]'."
        ) from error
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
    for name, label, colour in (
        ("sparft/pass_rate", "pass rate", "tab:blue"),
        ("sparft/wasted_group_share", "wasted groups", "tab:gray"),
    ):
        values = series(steps, name)
        # Groups of one rollout are never wasted, and no run tells of them.
        if np.isnan(values).all():
            continue
        rates.plot(numbers, values, ".", color=colour, alpha=0.35)
        rates.plot(numbers, running_mean(values), color=colour, label=f"{label}, mean of {WINDOW}")
    rates.set(xlabel="step", xlim=span, ylim=(0, 1), title="Training prompts, sampled rollouts")
    rates.legend(loc="upper left", frameon=False)
    rates.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150, format="png")


def running_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the last ``WINDOW`` values at each step, fewer at the start; shape kept."""
    return np.array(
        [np.nanmean(values[max(0, i + 1 - WINDOW) : i + 1]) for i in range(len(values))]
    )
