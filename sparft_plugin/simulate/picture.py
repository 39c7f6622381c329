"""The picture of a comparison: pass rate, wasted groups and arm shares."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sparft_plugin.errors import SparftError
from sparft_plugin.simulate.compare import Comparison, band

SMOOTH = 5
"""Steps that a point of the curve of wasted groups is the mean of."""


def check_matplotlib() -> None:
    """Raise if there is nothing to draw with.

    Raises
    ------
    SparftError
        If matplotlib is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise SparftError(
            "the picture needs matplotlib; pip install 'sparft-plugin[report]'."
        ) from error


def draw(comparison: Comparison, path: Path) -> None:
    """Draw a comparison as PNG.

    Raises
    ------
    SparftError
        If matplotlib is not installed.
    """
    check_matplotlib()
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    labels = comparison.ranking()
    figure = Figure(figsize=(13, 7), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=[3, 2])
    rates = figure.add_subplot(grid[:, 0])
    wasted = figure.add_subplot(grid[0, 1])
    colours = colormaps["tab20"]
    kernel = np.ones(SMOOTH) / SMOOTH
    for i, label in enumerate(labels):
        runs, colour = comparison.runs[label], colours(i % 20)
        mean, half = runs.pass_rates.mean(axis=0), band(runs.pass_rates)
        prompts = np.arange(len(mean)) * comparison.batch_size
        rates.plot(prompts, mean, color=colour, label=label)
        rates.fill_between(prompts, mean - half, mean + half, color=colour, alpha=0.15, lw=0)
        waste = runs.wasted.mean(axis=0)
        if len(waste) >= SMOOTH:
            smooth = np.convolve(waste, kernel, "valid")
            wasted.plot(prompts[SMOOTH:], smooth, color=colour)
    rates.axhline(comparison.goal, color="black", lw=0.8, ls=":")
    rates.set(
        xlabel="prompts used",
        ylabel="pass rate on the target distribution",
        title=f"{comparison.scenario}: {comparison.about}",
    )
    rates.legend(loc="upper left", frameon=False, fontsize="small")
    wasted.set(title=f"Wasted groups, mean of {SMOOTH} steps", ylim=(0, 1))
    for axes in (rates, wasted):
        axes.spines[["top", "right"]].set_visible(False)
    shares = figure.add_subplot(grid[1, 1])
    image = shares.imshow(
        np.stack([comparison.runs[label].arm_shares.mean(axis=0) for label in labels]),
        aspect="auto",
        cmap="Blues",
        vmin=0,
    )
    shares.set_yticks(range(len(labels)), labels, fontsize="small")
    names = [str(k) if learned else f"{k}*" for k, learned in enumerate(comparison.learned)]
    if len(names) <= 30:
        shares.set_xticks(range(len(names)), names, fontsize="small")
    shares.set(xlabel="arm (* teaches nothing)", title="Share of the picks")
    figure.colorbar(image, ax=shares)
    figure.savefig(path, dpi=120, format="png")
