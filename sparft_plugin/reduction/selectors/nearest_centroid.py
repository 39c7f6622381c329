"""The most typical members of a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.reduction.selectors.base import Members, Selector
from sparft_plugin.reduction.selectors.points import Points


@dataclass
class NearestCentroid(Selector):
    """Keep the members with the least Euclidean distance |x - mean(x)|, nearest first.

    The usual baseline of cluster-based selection: typical prompts, and no care for how much they
    repeat one another. Ties go to the lowest row.
    """

    nested: ClassVar[bool] = True

    def select(self, members: Members, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Choose min(k, n) members; ``rng`` is not used."""
        if not len(members):
            return np.empty(0, dtype=np.int64)
        return np.argsort(Points(members.features).spread, kind="stable")[:k]
