"""Greedy k-medoids: members that the others are near to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.reduction.selectors.base import Members, Selector, check_whole
from sparft_plugin.reduction.selectors.points import Points

TIE = 1e-9
"""Gains that differ by less than about this share of the medoid's sum of distances are equal."""


@dataclass
class Medoid(Selector):
    """Each choice lowers the sum of distances to the nearest chosen member most.

    c <- argmin_c sum_x min(|x - c|, min_{c' chosen} |x - c'|), the first c being the medoid. This
    is the BUILD phase of PAM (Kaufman and Rousseeuw 1990, "Finding Groups in Data", chapter 2),
    which is greedy facility location and so gains at least 1 - 1/e of what the best k could gain
    (Nemhauser et al. 1978, https://doi.org/10.1007/BF01588971). Ties, which are common, go to the
    member nearest to the centroid, then to the lowest row.

    Parameters
    ----------
    sample : int >= 1, default 1000
        The sum runs over at most this many members, evenly spaced in the order of their distance
        to the centroid; every member may be chosen. Clusters that are not larger are exact.
        Costs O(n d sample).
    """

    nested: ClassVar[bool] = True

    sample: int = 1000

    def __post_init__(self) -> None:
        check_whole("medoid", "sample", self.sample)

    def select(self, members: Members, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Choose min(k, n) members; ``rng`` is not used."""
        n = len(members)
        if not min(k, n):
            return np.empty(0, dtype=np.int64)
        points = Points(members.features)
        # argmax takes the lowest row of ties: in this order, the member nearest to the centroid.
        order = np.argsort(points.spread, kind="stable")
        points = points.subset(order)
        size = min(self.sample, n)
        return order[_greedy(points, np.arange(size) * n // size, min(k, n))]


def _greedy(points: Points, sampled: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Choose ``count`` rows of all for the good of the sampled ones."""
    total = np.zeros(len(points.spread))
    for row in sampled.tolist():
        total += points.distances(row)
    grain = TIE * (float(total.min()) or float(total.max()) or 1.0)
    chosen = np.empty(count, dtype=np.int64)
    chosen[0] = np.rint(total / grain).argmin()

    crowd = points.subset(sampled)
    nearest = crowd.distances(int(chosen[0]), points).copy()
    gain = np.zeros(len(total))
    for row, reach in zip(sampled.tolist(), nearest.tolist(), strict=True):
        gain += np.maximum(reach - points.distances(row), 0.0)
    gain = np.rint(gain / grain)
    for step in range(1, count):
        gain[chosen[step - 1]] = -1.0
        chosen[step] = row = _best(gain, points, crowd, nearest, grain)
        np.minimum(nearest, crowd.distances(row, points), out=nearest)
    return chosen


def _best(
    gain: NDArray[np.float64],
    points: Points,
    crowd: Points,
    nearest: NDArray[np.float64],
    grain: float,
) -> int:
    """Find the row that gains most; gains only shrink, so an old one that is less needs no look."""
    fresh: set[int] = set()
    while (row := int(gain.argmax())) not in fresh:
        closer = np.maximum(nearest - crowd.distances(row, points), 0.0)
        gain[row] = np.rint(closer.sum() / grain)
        fresh.add(row)
    return row
