"""Vectors in the order of their prompts' ids: what makes results forget the order of the rows."""

from __future__ import annotations

import mmap
import os
import tempfile

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError
from sparft_plugin.reduction.vectors import Vectors, blocks

Ranks = NDArray[np.int64]


class RankedVectors:
    """Some vectors by rank: in memory, or in an unnamed temporary file (in ``TMPDIR``).

    Parameters
    ----------
    vectors : Vectors
        Read once, block by block.
    order : ndarray of int64, shape (n,)
        Distinct positions in ``vectors``; ``order[r]`` has rank r.
    on_disk : bool
        Keep them in a file of n * width * 4 bytes, which goes when this object does.

    Raises
    ------
    SparftError
        If the file cannot be written.
    """

    def __init__(self, vectors: Vectors, order: Ranks, *, on_disk: bool) -> None:
        self.shape = len(order), vectors.shape[1]
        self._map: mmap.mmap | None = None
        rank = np.full(len(vectors), -1, dtype=np.int64)
        rank[order] = np.arange(len(order))
        if on_disk:
            self._map = _spooled(vectors, rank, len(order))
            self._rows = np.frombuffer(self._map, dtype=np.float32).reshape(self.shape)
        else:
            self._rows = vectors[order]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, ranks: Ranks | slice | int) -> NDArray[np.float32]:
        """Vectors of some ranks, shape (m, width); of one rank, (width,)."""
        return self._rows[ranks]

    def forget(self) -> None:
        """Give the memory of what was read from the file back to the system."""
        if self._map is not None:
            self._map.madvise(mmap.MADV_DONTNEED)


def _spooled(vectors: Vectors, rank: Ranks, count: int) -> mmap.mmap:
    size = vectors.shape[1] * 4
    with tempfile.TemporaryFile(prefix="sparft-vectors-") as file:
        try:
            # Written by calls and not through the map: a full disk is an error, not a signal.
            for at, block in blocks(vectors):
                data = np.ascontiguousarray(block, dtype=np.float32).tobytes()
                for place, r in enumerate(rank[at].tolist()):
                    if r >= 0:
                        os.pwrite(file.fileno(), data[place * size : (place + 1) * size], r * size)
        except OSError as error:
            raise SparftError(
                f"the {count} vectors do not fit into {tempfile.gettempdir()} ({error}); make "
                f"{count * size / 2**30:.1f} GiB of room there or set TMPDIR to another folder."
            ) from error
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
