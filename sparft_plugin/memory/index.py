"""Cosines of embeddings, and the nearest queries by them."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

# Cosines are compared after rounding. Float32 embeddings cannot tell directions apart below 1e-7,
# but parallel ones come out unequal at 1e-16: in between, "ties go to the older" is exact.
DECIMALS = 9
GROWTH = 1.25


def unit_rows(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Scale every row (n, d) to length 1; a zero row stays zero, its cosine with anything is 0."""
    rows = vectors.astype(np.float64)
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    rows /= np.where(lengths > 0, lengths, 1.0)[:, None]
    return rows


def cosines(units: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosine (n, m) of every row (n, d) with every row (m, d) of others, both from `unit_rows`.

    One BLAS thread: the last bits do not depend on how many there are, and a second one gains
    little on idle cores and is waited for much longer where rollouts keep the cores busy.
    """
    with _blas().limit(limits=1, user_api="blas"):
        table: NDArray[np.float64] = units @ others.T
    return table


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


class QueryIndex:
    """A table of query embeddings that is searched by brute force, in double precision.

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
        self._units = np.zeros((0, dimension), np.float64)
        self.ages = np.zeros(0, np.int64)

    @property
    def row_bytes(self) -> int:
        """Bytes that one query takes."""
        tables = (self.vectors, self._units, self.ages)
        return sum(table.itemsize * table[:1].size for table in tables)

    def put(self, row: int, vector: NDArray[np.float32], age: int) -> None:
        """Set the row of a query (d,); rows are taken into use one after the other."""
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
        """Return, for each of n queries (n, d), the `k` nearest of the first `rows` rows.

        The nearest comes first, of equally near ones the oldest.
        """
        found = cosines(unit_rows(queries), self._units[:rows])
        kth = np.partition(found, rows - k, axis=1)[:, rows - k] if k > 1 else found.max(axis=1)
        return [self._best(row, least, k) for row, least in zip(found, kth, strict=True)]

    def _best(self, found: NDArray[np.float64], least: np.float64, k: int) -> NDArray[np.int64]:
        near = np.flatnonzero(found >= least - 2 * 10.0**-DECIMALS)
        order = np.lexsort((self.ages[near], -found[near].round(DECIMALS)))
        best: NDArray[np.int64] = near[order[:k]]
        return best

    def fork(self) -> QueryIndex:
        """Return an independent copy."""
        return copy.deepcopy(self)


def _lengthen(table: NDArray[Any], rows: int) -> NDArray[Any]:
    longer = np.zeros((rows, *table.shape[1:]), table.dtype)
    longer[: len(table)] = table
    return longer
