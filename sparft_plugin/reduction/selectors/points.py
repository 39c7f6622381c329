"""The geometry that selectors share: distances to the centroid and to a member, fast."""

from __future__ import annotations

import copy

import numpy as np
from numpy.typing import NDArray


class Points:
    """Members seen from their centroid.

    Squared distances come from |x|^2 - 2 x.c + |c|^2, one product of the whole matrix with one
    vector: a third of the time that differences take. Centring keeps what cancels small, and
    what is left of rounding counts as 0, so that equal members are equally far from everything.
    ``centred``, shape (n, d), are features minus their mean; ``spread``, shape (n,), the squared
    distances to the centroid.
    """

    def __init__(self, features: NDArray[np.float64]) -> None:
        features = np.asarray(features, dtype=np.float64)
        self.centred = np.ascontiguousarray(features - features.mean(axis=0))
        self.spread: NDArray[np.float64] = np.einsum("ij,ij->i", self.centred, self.centred)
        rounding = 4 * features.shape[1] * np.finfo(np.float64).eps
        self._resolution = float(rounding * self.spread.max())
        self._squared = np.empty(len(features))

    def subset(self, rows: NDArray[np.int64]) -> Points:
        """Return some of the members, still seen from the centroid of all."""
        some = copy.copy(self)
        some.centred, some.spread = self.centred[rows], self.spread[rows]
        some._squared = np.empty(len(rows))
        return some

    def squared_distances(self, row: int, origin: Points | None = None) -> NDArray[np.float64]:
        """Squared distance of every member to one, which is a row of this or of ``origin``.

        Returned, shape (n,), is a buffer that the next call overwrites; 0 for members equal to it.
        """
        origin = self if origin is None else origin
        squared = self._squared
        np.dot(self.centred, origin.centred[row], out=squared)
        squared *= -2.0
        squared += self.spread
        squared += origin.spread[row]
        squared *= squared > self._resolution
        return squared

    def distances(self, row: int, origin: Points | None = None) -> NDArray[np.float64]:
        """Distance of every member to one of them, in the same buffer."""
        squared = self.squared_distances(row, origin)
        return np.sqrt(squared, out=squared)
