"""Farthest-point selection: cover the cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.reduction.selectors.base import Members, Selector
from sparft_plugin.reduction.selectors.points import Points


@dataclass
class FarthestPoint(Selector):
    """Each choice is the member farthest from all earlier ones.

    Greedy max-min selection, x <- argmax_x min_{c chosen} |x - c|: the largest distance of a
    member to its nearest chosen one is at most twice the least possible (k-center; Gonzalez 1985,
    https://doi.org/10.1016/0304-3975(85)90224-5). SPaRFT, https://arxiv.org/abs/2508.05015, uses
    it and leaves the first choice open: here the member nearest to the centroid. Ties go to the
    lowest row. Costs k products of the (n, d) features with one vector.
    """

    nested: ClassVar[bool] = True

    def select(self, members: Members, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Choose min(k, n) members; ``rng`` is not used."""
        chosen = np.empty(min(k, len(members)), dtype=np.int64)
        if not len(chosen):
            return chosen
        points = Points(members.features)
        nearest = np.full(len(members), np.inf)
        chosen[0] = points.spread.argmin()
        for step, latest in enumerate(chosen[:-1], start=1):
            np.minimum(nearest, points.squared_distances(latest), out=nearest)
            nearest[latest] = -1.0
            chosen[step] = nearest.argmax()
        return chosen
