"""Pictures of the arena: what can be won, who wins it, and how the curves run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from arms import CONTROLS, CURRICULA
from results import BASE, Headroom, Results, Verdict

matplotlib.use("Agg")
import matplotlib.pyplot as plt

COLORS = {"control": "#888888", "curriculum": "#1f77b4", "other": "#d08020"}


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=110, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)


def _kind(arm: str) -> str:
    return "control" if arm in CONTROLS else "curriculum" if arm in CURRICULA else "other"


def headroom(rooms: Mapping[str, Headroom], path: Path) -> None:
    """Oracle minus uniform by pool, with its interval."""
    figure, axes = plt.subplots(figsize=(7, 0.35 * len(rooms) + 1))
    for at, (name, room) in enumerate(reversed(rooms.items())):
        color = COLORS["curriculum"] if room.wins else COLORS["control"]
        axes.plot([room.gap.low, room.gap.high], [at, at], color=color)
        axes.plot(room.gap.value, at, "o", color=color, label=name)
    axes.set_yticks(range(len(rooms)), list(reversed(rooms)))
    axes.axvline(0, color="black", linewidth=0.6)
    axes.set_xlabel("area under the held-out curve, oracle minus uniform; grey: no harm only")
    _save(figure, path)


def forest(found: Sequence[Verdict], path: Path) -> None:
    """Area against uniform by arm, with its interval, best first."""
    figure, axes = plt.subplots(figsize=(7, 0.24 * len(found) + 1))
    for at, verdict in enumerate(reversed(found)):
        color = COLORS[_kind(verdict.arm)]
        axes.plot([verdict.area.low, verdict.area.high], [at, at], color=color)
        axes.plot(verdict.area.value, at, "o", color=color, markersize=4)
    axes.set_yticks(range(len(found)), [v.arm for v in reversed(found)], fontsize=8)
    axes.axvline(0, color="black", linewidth=0.6)
    axes.set_xlabel("area against uniform in pools with headroom (grey: controls)")
    _save(figure, path)


def curves(results: Results, found: Sequence[Verdict], path: Path) -> None:
    """Mean held-out curves of uniform, the oracle and the three best curricula, by pool."""
    best = [verdict.arm for verdict in found if verdict.arm in CURRICULA][:3]
    pools = results.pools
    columns = min(5, len(pools))
    rows = -(-len(pools) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(2.6 * columns, 2.1 * rows), squeeze=False, sharex=True
    )
    for axes, pool in zip(grid.flat, pools, strict=False):
        for arm in (BASE, "oracle", *best):
            runs = [row["curve"] for row in results.of(pool, arm).values()]
            if runs:
                grid_at = np.linspace(0, max(curve[-1][0] for curve in runs), 40)
                mean = np.mean([np.interp(grid_at, *zip(*c, strict=True)) for c in runs], axis=0)
                style = {BASE: ("black", "-"), "oracle": ("#888888", "--")}.get(arm, (None, "-"))
                axes.plot(grid_at, mean, color=style[0], linestyle=style[1], label=arm)
        axes.set_title(pool, fontsize=9)
        axes.tick_params(labelsize=7)
    for axes in grid.flat[len(pools) :]:
        axes.axis("off")
    grid[0][0].legend(fontsize=6)
    figure.supxlabel("rollouts", fontsize=9)
    figure.supylabel("held-out pass rate", fontsize=9)
    _save(figure, path)
