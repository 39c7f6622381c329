"""Exact nearest queries by cosine."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.memory.vectors import (
    COSINE_DECIMALS,
    cosines,
    rough_cosines,
    rough_error,
    unit_rows,
)

GROWTH = 1.25


class QueryIndex:
    """A table of query embeddings that is searched by brute force.

    A single-precision product finds every row that could be among the nearest, and only these are
    compared in double precision: the answer is that of a comparison in double precision
    throughout, whatever the number of threads.

    Attributes
    ----------
    vectors : float32 (r, d), r >= the number of rows in use
        The queries as they came.
    ages : int64 (r,)
        Of two equally near queries the one with the lower number comes first.
    """

    def __init__(self) -> None:
        self._allocate(0)

    def _allocate(self, dimension: int) -> None:
        self.vectors = np.zeros((0, dimension), np.float32)
        self._units = np.zeros((0, dimension), np.float32)
        self.ages = np.zeros(0, np.int64)

    @property
    def row_bytes(self) -> int:
        """Bytes that one query takes."""
        return sum(
            block.itemsize * block[0:1].size for block in (self.vectors, self._units, self.ages)
        )

    def put(self, row: int, vector: NDArray[np.float32], age: int) -> None:
        """Set the row of a query; rows are taken into use one after the other.

        Parameters
        ----------
        row : int >= 0
        vector : float32 (d,)
        age : int
            Of two equally near queries the one with the lower number comes first.
        """
        if not len(self.vectors):
            self._allocate(len(vector))
        if row == len(self.vectors):
            rows = max(16, int(GROWTH * row))
            self.vectors = _lengthen(self.vectors, rows)
            self._units = _lengthen(self._units, rows)
            self.ages = _lengthen(self.ages, rows)
        self.vectors[row] = vector
        self._units[row] = unit_rows(vector[None])[0]
        self.ages[row] = age

    def nearest_each(
        self, queries: NDArray[np.float32], k: int, rows: int
    ) -> list[NDArray[np.int64]]:
        """Return the rows of the `k` nearest of the first `rows`, nearest first, then oldest first.

        Parameters
        ----------
        queries : float32 (n, d)
        k : int in [1, rows]
        rows : int >= 1
        """
        units = unit_rows(queries)
        rough = rough_cosines(units.astype(np.float32), self._units[:rows])
        kth = np.partition(rough, rows - k, axis=1)[:, rows - k] if k > 1 else rough.max(axis=1)
        least = kth - np.float32(2 * rough_error(queries.shape[1]))
        found = []
        for unit, row_cosines, limit in zip(units, rough, least, strict=True):
            near = np.flatnonzero(row_cosines >= limit)
            found.append(near if len(near) == 1 else self._best(unit, near, k))
        return found

    def _best(
        self, unit: NDArray[np.float64], near: NDArray[np.int64], k: int
    ) -> NDArray[np.int64]:
        exact = cosines(unit[None], unit_rows(self.vectors[near]))[0].round(COSINE_DECIMALS)
        best: NDArray[np.int64] = near[np.lexsort((self.ages[near], -exact))[:k]]
        return best

    def fork(self) -> QueryIndex:
        """Return an independent copy."""
        return copy.deepcopy(self)


def _lengthen(block: NDArray[Any], rows: int) -> NDArray[Any]:
    longer = np.zeros((rows, *block.shape[1:]), block.dtype)
    longer[: len(block)] = block
    return longer
