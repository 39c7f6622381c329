"""Shapes of the charts in a reduction's page: histogram, dot strips and curve."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparft_plugin.report.reduction_text import decimal, share

WIDTH = 440.0
LEFT, RIGHT = 40.0, 12.0
TOP, PLOT = 14.0, 150.0
STRIP = 46.0


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Bar:
    """One bin of a histogram: left edge, width and the height of both bars."""

    x: float
    width: float
    pool: float
    kept: float
    text: str


@dataclass(frozen=True)
class Histogram:
    """Difficulty of the pool and of the kept prompts, as shares of each."""

    width: float
    bottom: float
    bars: tuple[Bar, ...]
    rows: tuple[Tick, ...]
    columns: tuple[Tick, ...]
    pool_mean: str
    kept_mean: str


@dataclass(frozen=True)
class Strip:
    """One measure of the kept prompts among the same measure of random subsets."""

    name: str
    width: float
    middle: float
    draws: tuple[tuple[float, float, str], ...]
    ours: float
    value: str
    ticks: tuple[Tick, ...]
    verdict: str


@dataclass(frozen=True)
class Curve:
    """Silhouette score over the number of clusters."""

    width: float
    bottom: float
    dots: tuple[tuple[float, float, str, bool], ...]
    rows: tuple[Tick, ...]
    columns: tuple[Tick, ...]


def histogram(counts: Mapping[str, Any] | None) -> Histogram | None:
    """Lay out ``{edges: [b + 1], pool: [b], kept: [b]}``; None without counts."""
    if not counts or not sum(counts["pool"]):
        return None
    edges = [float(edge) for edge in counts["edges"]]
    pool, kept = _shares(counts["pool"]), _shares(counts["kept"])
    step, top = _steps(0.0, max(*pool, *kept))
    span = edges[-1] - edges[0]

    def across(value: float) -> float:
        return LEFT + (value - edges[0]) / span * (WIDTH - LEFT - RIGHT)

    bars = tuple(
        Bar(
            round(across(low), 1),
            round(across(high) - across(low), 1),
            round(PLOT * p / top, 1),
            round(PLOT * k / top, 1),
            f"difficulty {low:.2f} to {high:.2f}: {share(p, 1)} of the pool, {share(k, 1)} of the "
            "kept prompts",
        )
        for low, high, p, k in zip(edges[:-1], edges[1:], pool, kept, strict=True)
    )
    quarters = [edges[0] + span * i / 4 for i in range(5)]
    return Histogram(
        width=WIDTH,
        bottom=TOP + PLOT,
        bars=bars,
        rows=_rows(0.0, top, step, lambda value: f"{100 * value:.3g}\u00a0%"),
        columns=tuple(Tick(round(across(q), 1), f"{q:.2f}") for q in quarters),
        pool_mean=_mean(edges, pool),
        kept_mean=_mean(edges, kept) if sum(counts["kept"]) else decimal(None),
    )


def strip(name: str, ours: float, draws: Sequence[float]) -> Strip | None:
    """Lay out one measure; smaller is better. None without random subsets."""
    drawn = [float(value) for value in draws if math.isfinite(value)]
    if not drawn or not math.isfinite(ours):
        return None
    low, high = min(*drawn, ours), max(*drawn, ours)
    pad = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = low - pad, high + pad

    def across(value: float) -> float:
        return round(RIGHT + (value - low) / (high - low) * (WIDTH - 2 * RIGHT), 1)

    step, _ = _steps(low, high, 4)
    first = math.ceil(low / step) * step
    digits = max(0, -math.floor(math.log10(step)))
    marks = [first + i * step for i in range(math.floor((high - first) / step + 1e-9) + 1)]
    return Strip(
        name=name,
        width=WIDTH,
        middle=STRIP / 2,
        draws=tuple(
            # A fixed zigzag keeps equal values apart and gives the same page every time.
            (across(value), round(STRIP / 2 + 4 * (i % 5 - 2), 1), decimal(value, 3))
            for i, value in enumerate(drawn)
        ),
        ours=across(ours),
        value=decimal(ours, 3),
        ticks=tuple(Tick(across(mark), f"{mark:.{digits}f}") for mark in marks),
        verdict=_verdict(ours, drawn),
    )


def curve(scores: Sequence[Mapping[str, Any]] | None, chosen: int) -> Curve | None:
    """Lay out ``[{clusters, score}]`` with the chosen number of clusters marked; None if empty."""
    if not scores:
        return None
    known = sorted((int(s["clusters"]), float(s["score"])) for s in scores)
    values = [score for _, score in known]
    step, _ = _steps(min(values), max(values))
    low, high = math.floor(min(values) / step) * step, math.ceil(max(values) / step) * step
    high = high if high > low else low + step
    sizes = [clusters for clusters, _ in known]
    span = max(1, sizes[-1] - sizes[0])

    def across(clusters: int) -> float:
        return round(LEFT + 12 + (clusters - sizes[0]) / span * (WIDTH - LEFT - RIGHT - 24), 1)

    every = max(1, math.ceil(len(sizes) / 10))
    digits = max(2, -math.floor(math.log10(step)))
    return Curve(
        width=WIDTH,
        bottom=TOP + PLOT,
        dots=tuple(
            (
                across(clusters),
                round(TOP + PLOT * (high - score) / (high - low), 1),
                f"{clusters} clusters: silhouette {score:.3f}",
                clusters == chosen,
            )
            for clusters, score in known
        ),
        rows=_rows(low, high, step, lambda value: f"{value:.{digits}f}"),
        columns=tuple(Tick(across(clusters), str(clusters)) for clusters in sizes[::every]),
    )


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts)
    return [value / total if total else 0.0 for value in counts]


def _mean(edges: Sequence[float], shares: Sequence[float]) -> str:
    middles = [(a + b) / 2 for a, b in zip(edges[:-1], edges[1:], strict=True)]
    return decimal(sum(m * s for m, s in zip(middles, shares, strict=True)))


def _steps(low: float, high: float, parts: int = 4) -> tuple[float, float]:
    """Distance between round marks, and the first of them that is not below ``high``."""
    rough = (high - low) / parts or 0.1
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * f for f in (1.0, 2.0, 2.5, 5.0, 10.0) if power * f >= rough * 0.999)
    return step, math.ceil(high / step - 1e-9) * step


def _rows(low: float, high: float, step: float, label: Any) -> tuple[Tick, ...]:
    steps = round((high - low) / step)
    return tuple(
        Tick(round(TOP + PLOT * (1 - i / steps), 1), label(low + i * step))
        for i in range(steps + 1)
    )


def _verdict(ours: float, drawn: Sequence[float]) -> str:
    below, above = sum(ours < value for value in drawn), sum(ours > value for value in drawn)
    total = len(drawn)
    if below == total or above == total:
        said = f"{'smaller' if below else 'larger'} than all {total} random subsets"
    else:
        said = f"smaller than {below} of {total} random subsets"
    middle = statistics.median(drawn)
    if not middle:
        return said
    change = f"{abs(1 - ours / middle):.0%}".replace("%", "\u00a0%")
    return f"{said}; {change} {'below' if ours < middle else 'above'} their median"
