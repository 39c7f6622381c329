"""The last responses to one query."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SEGMENT = 10
"""Rows that a ring takes at a time."""


class Ring:
    """A ring buffer of at most `capacity` embeddings; the oldest give way.

    It lies in segments of equal size, which are taken as it fills: a query that is rarely seen
    costs little, and memory that rings of all sizes give back fits any other ring, so nothing is
    lost between them. A segment is never changed but replaced by a changed copy: forks share it.

    Parameters
    ----------
    capacity : int >= 1
    width : int >= 1
        Length d of an embedding.
    dtype : dtype
        Precision it is kept in.
    """

    __slots__ = ("_oldest", "_segments", "capacity", "dtype", "held", "width")

    def __init__(self, capacity: int, width: int, dtype: np.dtype[Any]) -> None:
        self.capacity = capacity
        self.width = width
        self.dtype = dtype
        self.held = 0
        self._oldest = 0
        self._segments: list[NDArray[Any]] = []

    def write(self, rows: NDArray[Any]) -> None:
        """Append embeddings (m, d), the oldest first."""
        rows = rows[-self.capacity :]
        places = (self._oldest + self.held + np.arange(len(rows))) % self.capacity
        for segment in np.unique(places // SEGMENT).tolist():
            here = places // SEGMENT == segment
            changed = self._copy(segment)
            changed[places[here] % SEGMENT] = rows[here]
            self._segments[segment : segment + 1] = [changed]
        fresh = min(self.capacity - self.held, len(rows))
        self.held += fresh
        self._oldest = (self._oldest + len(rows) - fresh) % self.capacity

    def _copy(self, segment: int) -> NDArray[Any]:
        """Copy of a segment, or the segment after the last one, with nothing in it."""
        if segment < len(self._segments):
            return self._segments[segment].copy()
        size = min(SEGMENT, self.capacity - segment * SEGMENT)
        return np.empty((size, self.width), self.dtype)

    def read(self) -> NDArray[Any]:
        """Return the embeddings (held, d), the oldest first."""
        whole = np.concatenate(self._segments)[: self.held]
        newest, oldest = whole[: self._oldest], whole[self._oldest :]
        return np.concatenate([oldest, newest]) if len(newest) else whole

    def fork(self) -> Ring:
        """Return a ring of the same content; neither sees the other's writes."""
        forked = Ring(self.capacity, self.width, self.dtype)
        forked.held, forked._oldest = self.held, self._oldest
        forked._segments = list(self._segments)
        return forked
