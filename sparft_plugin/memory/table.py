"""Embeddings in blocks that never move."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError

BLOCK_BYTES = 256 << 20
"""Size of a block; the system gives memory only to what was written of it."""


def block_rows(width: int, dtype: np.dtype[Any]) -> int:
    """Rows of a block, at least 1."""
    return max(1, BLOCK_BYTES // max(1, width * dtype.itemsize))


class RowTable:
    """Embeddings (d,) by number; numbers are taken, and given back for the next to take.

    Nothing is copied as it grows, and it is saved by its blocks as they lie: a save costs no
    second copy. Which numbers are taken next depends on the history of calls alone.

    Attributes
    ----------
    free : list of int
        Numbers that were given back; the last one is taken first.
    """

    def __init__(self, width: int, dtype: np.dtype[Any]) -> None:
        self.width = width
        self.dtype = dtype
        self.free: list[int] = []
        self._rows = block_rows(width, dtype)
        self._used = 0
        self._own = 0  # Rows before this one belong to the table that this is a fork of.
        self._blocks: list[NDArray[Any]] = []

    def write(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        """Store embeddings (m, d) and return their numbers, int64 (m,)."""
        again = [self.free.pop() for _ in range(min(len(rows), len(self.free)))]
        new = np.arange(self._used, self._used + len(rows) - len(again))
        self._used += len(new)
        while self._used > self._rows * len(self._blocks):
            self._blocks.append(np.zeros((self._rows, self.width), self.dtype))
        numbers: NDArray[np.int64] = np.concatenate([np.array(again, np.int64), new])
        for block, here, inside in self._by_block(numbers):
            block[inside] = rows[here]
        return numbers

    def give_back(self, numbers: NDArray[np.int64]) -> None:
        """Let these rows be overwritten, the first one first."""
        self.free += numbers[numbers >= self._own][::-1].tolist()

    def read(self, numbers: NDArray[np.int64]) -> NDArray[Any]:
        """Return a copy of one or more rows, (m, d)."""
        parts = [block.take(inside, axis=0) for block, _, inside in self._by_block(numbers)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _by_block(
        self, numbers: NDArray[np.int64]
    ) -> list[tuple[NDArray[Any], slice, NDArray[np.int64]]]:
        """Runs of numbers in one block: the block, their places here, and their rows in it."""
        if len(self._blocks) == 1:
            return [(self._blocks[0], slice(None), numbers)]
        of = numbers // self._rows
        ends = [*(np.flatnonzero(np.diff(of)) + 1).tolist(), len(numbers)]
        return [
            (self._blocks[of[a]], slice(a, b), numbers[a:b] - of[a] * self._rows)
            for a, b in pairwise([0, *ends])
            if a < b
        ]

    def parts(self) -> list[NDArray[Any]]:
        """Return one or more blocks without what was never taken; nothing is copied."""
        blocks = self._blocks or [np.zeros((0, self.width), self.dtype)]
        return [block[: self._used - i * self._rows] for i, block in enumerate(blocks)]

    def restore(self, parts: Sequence[NDArray[Any]], free: NDArray[np.int64]) -> None:
        """Fill an empty table with a copy of what `parts` and `free` were."""
        for i, part in enumerate(parts):
            rows = self._rows if i + 1 < len(parts) else min(self._rows, len(part))
            if part.dtype != self.dtype or part.shape != (rows, self.width):
                raise SparftError(
                    f"responses of a saved episodic store must be {self.dtype} of shape "
                    f"{(rows, self.width)}, not {part.dtype} of shape {part.shape}."
                )
            if not np.isfinite(part).all():
                raise SparftError("responses of a saved episodic store must be finite.")
            self._blocks.append(np.zeros((self._rows, self.width), self.dtype))
            self._blocks[-1][: len(part)] = part
            self._used += len(part)
        self.free = free.tolist()

    def fork(self) -> RowTable:
        """As `EpisodicStore.fork`."""
        forked = RowTable(self.width, self.dtype)
        forked._blocks = list(self._blocks)
        forked._used = forked._own = self._rows * len(self._blocks)
        return forked
