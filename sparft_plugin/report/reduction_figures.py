"""The figures in the page of a reduction, as SVG that is the same at every drawing."""

from __future__ import annotations

import base64
import colorsys
import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sparft_plugin.reduction.coverage import Pool

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 3000
"""Prompts on the map: all that were kept, and the first others by id."""
NUMBERED = 40
"""Beyond this many arms their numbers would hide the map."""
INK, SOFT, ACCENT, PALE = "#1d2025", "#5b616b", "#0b6e75", "#c9ccd1"
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "sparft",
    "font.family": ["sans-serif"],
    "font.size": 10,
    "axes.axisbelow": True,
    "axes.edgecolor": PALE,
    "axes.labelcolor": SOFT,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "grid.color": "#e3e1dc",
    "legend.frameon": False,
    "legend.labelcolor": SOFT,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
}


def arm_colours(arms: int) -> list[str]:
    """Hues around the circle as #rrggbb; with many arms, neighbours differ in lightness too."""
    tones = (0.38,) if arms <= 6 else (0.42, 0.3) if arms <= 24 else (0.42, 0.3, 0.52, 0.22)
    colours = [colorsys.hls_to_rgb(i / arms, tones[i % len(tones)], 0.55) for i in range(arms)]
    return ["#" + "".join(f"{round(255 * part):02x}" for part in colour) for colour in colours]


def cluster_map(pool: Pool, colours: Sequence[str]) -> str:
    """Prompts on the first two principal components: kept ones large and ringed."""
    kept = np.zeros(len(pool.ids), dtype=np.bool_)
    kept[pool.kept[:POINTS]] = True
    others = np.flatnonzero(~kept)[: POINTS - int(kept.sum())]
    flat = np.zeros((len(pool.ids), 2))
    flat[:, : pool.features.shape[1]] = pool.features[:, :2]
    x, y = flat.T
    shades = np.array(colours)
    # Many kept prompts cover about the area of two hundred; each stays larger than the pool's.
    size = max(14, 44 * min(1, 200 / kept.sum()))

    def draw(axes: Axes) -> None:
        axes.scatter(x[others], y[others], s=10, c=shades[pool.arms[others]], alpha=0.4, lw=0)
        axes.scatter(x[kept], y[kept], s=size, c=shades[pool.arms[kept]], edgecolors=INK, lw=0.8)
        for arm in range(len(colours)) if len(colours) <= NUMBERED else ():
            axes.text(
                float(np.median(x[pool.arms == arm])),
                float(np.median(y[pool.arms == arm])),
                str(arm),
                bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": colours[arm]},
                ha="center",
                va="center",
                fontsize=9,
                fontweight="bold",
            )
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_axis_off()

    return _svg(7.2, 6.4, draw)


def histogram(counts: Mapping[str, Any]) -> str:
    """Shares at each difficulty, of ``{edges: [b + 1], pool: [b], kept: [b]}``."""
    edges = np.array(counts["edges"])
    middles, widths = (edges[:-1] + edges[1:]) / 2, np.diff(edges)

    def draw(axes: Axes) -> None:
        for name, width, colour in (("pool", 0.94, PALE), ("kept", 0.42, ACCENT)):
            number = np.array(counts[name])
            share = number / max(number.sum(), 1)
            mean = f", mean {share @ middles:.2f}" if number.any() else ""
            axes.bar(middles, 100 * share, width * widths, color=colour, label=f"{name}{mean}")
        axes.set(xlabel="difficulty", ylabel="% of the prompts", xlim=(edges[0], edges[-1]))
        axes.grid(axis="y")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.16), ncols=2)

    return _svg(5, 2.7, draw)


def strip(ours: float, drawn: Sequence[float]) -> str:
    """One measure of the kept prompts, a diamond, among the same of random subsets, dots."""

    def draw(axes: Axes) -> None:
        # A fixed zigzag keeps equal values apart.
        axes.plot(drawn, np.arange(len(drawn)) % 5, "o", mfc=PALE, mec=SOFT, ms=6, alpha=0.8)
        axes.plot([ours], [2], "D", color=ACCENT, ms=10, mec="white")
        axes.set(ylim=(-1, 5), yticks=[])
        axes.spines["left"].set_visible(False)
        axes.margins(x=0.04)

    return _svg(5, 0.8, draw)


def curve(scores: Sequence[Mapping[str, Any]], chosen: int) -> str:
    """Silhouette by number of clusters, the chosen one ringed."""
    from matplotlib.ticker import MaxNLocator

    points = sorted((int(score["clusters"]), float(score["score"])) for score in scores)

    def draw(axes: Axes) -> None:
        axes.plot(*zip(*points, strict=True), "o-", color=ACCENT, ms=4)
        used = [point for point in points if point[0] == chosen]
        axes.plot(*np.array(used).reshape(-1, 2).T, "o", ms=10, mfc="white", mec=ACCENT, mew=3)
        axes.set(xlabel="clusters", ylabel="mean silhouette")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y")

    return _svg(5, 2.7, draw)


def _svg(width: float, height: float, draw: Callable[[Axes], None]) -> str:
    """Draw on one pair of axes, inches wide and high, and return the SVG as a data URI."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure.add_subplot())
        file = io.BytesIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode()}"
