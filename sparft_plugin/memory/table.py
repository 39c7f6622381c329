"""Embeddings in blocks that never move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError

BLOCK = 16_384
"""Rows of a block: 25 MB at 384 numbers. The system gives memory to what was written of it."""


class RowTable:
    """Embeddings by number; numbers are taken, and given back for the next to take.

    Nothing is copied as it grows, and it is saved by its blocks as they lie: a save costs no
    second copy. Which numbers are taken next depends on the history of calls alone.

    Parameters
    ----------
    width : int >= 0
        Length d of an embedding.
    dtype : dtype
        Precision it is kept in.

    Attributes
    ----------
    free : list of int
        Numbers that were given back; the last one is taken first.
    """

    def __init__(self, width: int, dtype: np.dtype[Any]) -> None:
        self.width = width
        self.dtype = dtype
        self.free: list[int] = []
        self._used = 0
        self._own = 0  # Rows before this one belong to the table that this is a fork of.
        self._blocks: list[NDArray[Any]] = []

    def write(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        """Store embeddings (m, d) and return their numbers, int64 (m,)."""
        again = [self.free.pop() for _ in range(min(len(rows), len(self.free)))]
        new = np.arange(self._used, self._used + len(rows) - len(again))
        self._used += len(new)
        while self._used > BLOCK * len(self._blocks):
            self._blocks.append(np.zeros((BLOCK, self.width), self.dtype))
        numbers: NDArray[np.int64] = np.concatenate([np.array(again, np.int64), new])
        for block, here in self._by_block(numbers):
            block[numbers[here] % BLOCK] = rows[here]
        return numbers

    def give_back(self, numbers: NDArray[np.int64]) -> None:
        """Let these rows be overwritten, the first one first."""
        self.free += numbers[numbers >= self._own][::-1].tolist()

    def read(self, numbers: NDArray[np.int64]) -> NDArray[Any]:
        """Return a copy of some rows, (m, d)."""
        rows = np.empty((len(numbers), self.width), self.dtype)
        for block, here in self._by_block(numbers):
            rows[here] = block[numbers[here] % BLOCK]
        return rows

    def _by_block(self, numbers: NDArray[np.int64]) -> list[tuple[NDArray[Any], Any]]:
        """Blocks, each with the places of its rows among the numbers."""
        of = numbers // BLOCK
        if len(of) and of.min() == of.max():
            return [(self._blocks[of[0]], slice(None))]
        return [(self._blocks[block], of == block) for block in np.unique(of).tolist()]

    def parts(self) -> list[NDArray[Any]]:
        """Return one or more blocks without what was never taken; nothing is copied."""
        blocks = self._blocks or [np.zeros((0, self.width), self.dtype)]
        return [block[: self._used - i * BLOCK] for i, block in enumerate(blocks)]

    def restore(self, parts: Sequence[NDArray[Any]], free: NDArray[np.int64]) -> None:
        """Fill an empty table with a copy of what `parts` and `free` were.

        Raises
        ------
        SparftError
            If a part has another shape or type than a block, or a number that is not finite.
        """
        for i, part in enumerate(parts):
            rows = BLOCK if i + 1 < len(parts) else min(BLOCK, len(part))
            if part.dtype != self.dtype or part.shape != (rows, self.width):
                raise SparftError(
                    f"responses of a saved episodic store must be {self.dtype} of shape "
                    f"{(rows, self.width)}, not {part.dtype} of shape {part.shape}."
                )
            if not np.isfinite(part).all():
                raise SparftError("responses of a saved episodic store must be finite.")
            self._blocks.append(np.zeros((BLOCK, self.width), self.dtype))
            self._blocks[-1][: len(part)] = part
            self._used += len(part)
        self.free = free.tolist()

    def fork(self) -> RowTable:
        """Return a table of the same content, whose writes this one does not see.

        It is good for as long as nothing is written here.
        """
        forked = RowTable(self.width, self.dtype)
        forked._blocks = list(self._blocks)
        forked._used = forked._own = BLOCK * len(self._blocks)
        return forked
