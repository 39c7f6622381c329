"""The map of clusters: colours of the arms, and where points and numbers stand."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparft_plugin.report.reduction_text import shorten

WIDTH = 720.0
MARGIN = 16.0
TITLE = 220
# Beyond this many, numbers on the map hide what they name; one shows when its arm is chosen.
NUMBERED = 40
APART = 22.0
POOL_RADIUS = 2.4
KEPT_RADIUS = 4.8
# Up to this many kept prompts are drawn at full size.
SPARSE = 200


@dataclass(frozen=True)
class Colour:
    """Hue in degrees, and one of four tones that a style sheet turns into lightness."""

    hue: int
    tone: int


@dataclass(frozen=True)
class Dot:
    """One prompt on the map."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class ArmDots:
    """The prompts of one arm, and the place of its number."""

    arm: int
    pool: tuple[Dot, ...]
    kept: tuple[Dot, ...]
    x: float
    y: float


@dataclass(frozen=True)
class ClusterMap:
    """A scatter plot in units of its view box; both axes have the same scale."""

    width: float
    height: float
    arms: tuple[ArmDots, ...]
    numbered: bool
    points: int
    pool_radius: float
    kept_radius: float


def arm_colours(arms: Iterable[int]) -> dict[int, Colour]:
    """Give each arm a hue on the circle; many arms also differ in tone."""
    names = list(arms)
    tones = 1 if len(names) <= 6 else 2 if len(names) <= 24 else 4
    return {
        arm: Colour(round(30 + 360 * i / len(names)) % 360, i % tones)
        for i, arm in enumerate(names)
    }


def cluster_map(points: Sequence[Mapping[str, Any]]) -> ClusterMap | None:
    """Lay points out in a view box.

    Parameters
    ----------
    points : sequence of mapping
        ``x`` and ``y`` (finite, any unit), ``arm``, ``kept`` and ``text`` of each prompt.

    Returns
    -------
    ClusterMap or None
        None if there are no points. Arms in ascending order.
    """
    if not points:
        return None
    xs, ys = [float(p["x"]) for p in points], [float(p["y"]) for p in points]
    across, up = max(xs) - min(xs), max(ys) - min(ys)
    inner = WIDTH - 2 * MARGIN
    tall = min(0.8, max(0.4, up / across if across > 0 else 0.8)) * inner
    scale = min(inner / across if across > 0 else 1.0, tall / up if up > 0 else 1.0)
    left, top = (WIDTH - scale * across) / 2, MARGIN + (tall - scale * up) / 2
    members: dict[int, tuple[list[Dot], list[Dot]]] = {}
    for point, x, y in zip(points, xs, ys, strict=True):
        dot = Dot(
            round(left + scale * (x - min(xs)), 1),
            round(top + scale * (max(ys) - y), 1),
            shorten(str(point["text"]), TITLE),
        )
        members.setdefault(int(point["arm"]), ([], []))[bool(point["kept"])].append(dot)
    height = tall + 2 * MARGIN
    numbers = _apart({arm: _middle([*pool, *kept]) for arm, (pool, kept) in members.items()})
    return ClusterMap(
        width=WIDTH,
        height=round(height, 1),
        arms=tuple(
            ArmDots(arm, tuple(pool), tuple(kept), *_inside(numbers[arm], height))
            for arm, (pool, kept) in sorted(members.items())
        ),
        numbered=len(members) <= NUMBERED,
        points=len(points),
        pool_radius=POOL_RADIUS,
        kept_radius=_kept_radius(sum(len(kept) for _, kept in members.values())),
    )


def _kept_radius(kept: int) -> float:
    """Smaller for many, so that they cover about the same area; always above the pool's."""
    shrink = (SPARSE / kept) ** 0.5 if kept > SPARSE else 1.0
    return round(max(POOL_RADIUS + 0.6, KEPT_RADIUS * shrink), 1)


def _middle(dots: Sequence[Dot]) -> tuple[float, float]:
    return statistics.median(d.x for d in dots), statistics.median(d.y for d in dots)


def _inside(place: tuple[float, float], height: float) -> tuple[float, float]:
    x, y = place
    return (
        round(min(WIDTH - MARGIN, max(MARGIN, x)), 1),
        round(min(height - MARGIN, max(MARGIN, y)), 1),
    )


def _apart(places: Mapping[int, tuple[float, float]]) -> dict[int, tuple[float, float]]:
    """Push numbers that would cover each other apart, a little at a time."""
    moved = dict(sorted(places.items()))
    arms = list(moved)
    if len(arms) > NUMBERED:
        return moved
    for _ in range(40):
        for i, a in enumerate(arms):
            for b in arms[i + 1 :]:
                (ax, ay), (bx, by) = moved[a], moved[b]
                dx, dy = bx - ax, by - ay
                distance = (dx * dx + dy * dy) ** 0.5
                if distance < APART:
                    ux, uy = (dx / distance, dy / distance) if distance else (1.0, 0.0)
                    push = (APART - distance) / 2
                    moved[a] = (ax - ux * push, ay - uy * push)
                    moved[b] = (bx + ux * push, by + uy * push)
    return moved
