"""The contract: parts that any process can load, each a few thousand unit vectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError

PART_ROWS = 4096
"""Vectors of one part: 6 MiB at 384 dimensions."""
SHORT, LONG = 1e-12, 1e17
"""Norms whose squares single precision holds with all its digits."""


@dataclass(frozen=True, eq=False)
class Part(ABC):
    """A block of vectors that knows where to find itself; small to send to another process."""

    positions: NDArray[np.int64]
    """Where its rows belong, shape (b,); -1 leaves a row out."""

    @abstractmethod
    def load(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Read the block.

        Returns
        -------
        ndarray of int64, shape (b',)
            Positions of the rows that are not left out.
        ndarray of float32, shape (b', width)
            Their vectors, each of Euclidean norm 1.

        Raises
        ------
        SparftError
            If a vector is zero or not finite.
        """


@dataclass(frozen=True, eq=False)
class Vectors:
    """n unit vectors of one width, in parts that cover every position once.

    Nothing that is computed from them may depend on how they are cut into parts.
    """

    parts: Sequence[Part]
    """Blocks in any order."""
    rows: int
    """Number of vectors, n."""
    width: int
    """Dimensions of a vector."""

    def __len__(self) -> int:
        return self.rows

    def blocks(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Load one part after the other: positions (b,) and vectors (b, width)."""
        for part in self.parts:
            yield part.load()

    def moved(self, to: NDArray[np.int64], rows: int) -> Vectors:
        """Renumber the vectors.

        Parameters
        ----------
        to : ndarray of int64, shape (n,)
            New position of each vector; -1 leaves it out.
        rows : int
            Number of vectors that are left.
        """
        # Index -1, a row that is left out already, reads the last entry.
        extended = np.append(to, -1)
        parts = [replace(part, positions=extended[part.positions]) for part in self.parts]
        return Vectors(parts, rows, self.width)

    def take(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read some vectors, shape (m, width), in the order of ``positions``.

        Reads through all parts once, so ask for many at a time.
        """
        slot = np.full(self.rows, -1, dtype=np.int64)
        wanted, back = np.unique(positions, return_inverse=True)
        slot[wanted] = np.arange(len(wanted))
        found = np.empty((len(wanted), self.width), dtype=np.float32)
        for at, block in self.blocks():
            here = slot[at] >= 0
            found[slot[at[here]]] = block[here]
        return found[back]


def to_unit(
    block: NDArray[np.floating], name: str, called: Callable[[int], str]
) -> NDArray[np.float32]:
    """Scale vectors to norm 1; the result of a vector depends on that vector alone.

    Parameters
    ----------
    block : ndarray of float, shape (b, d)
        Vectors.
    name : str
        What they are called in an error.
    called : callable
        What the vector at a place in the block is called in an error.

    Raises
    ------
    SparftError
        Naming the first vector that is zero or not finite.
    """
    with np.errstate(over="ignore"):
        vectors = np.ascontiguousarray(block, dtype=np.float32)
        norms = _norms(vectors)
    extreme = np.flatnonzero(~((norms > SHORT) & (norms < LONG)))
    if len(extreme):
        largest = np.abs(vectors[extreme]).max(axis=1)
        bad = np.flatnonzero(~np.isfinite(largest) | (largest == 0))
        if len(bad):
            problem = "zero" if largest[bad[0]] == 0 else "not finite"
            raise SparftError(
                f"{name}: the vector of {called(int(extreme[bad[0]]))} is {problem}; use another "
                "encoder or drop the row."
            )
        vectors = vectors.copy()
        vectors[extreme] /= largest[:, None]
        norms[extreme] = _norms(vectors[extreme])
    # Vectors that an encoder normalised already keep their bits.
    scale = np.where(np.abs(norms - 1.0) > 1e-5, norms, np.float32(1))
    unit: NDArray[np.float32] = vectors
    if (scale != 1).any():
        unit = vectors / scale[:, None]
    return unit


def _norms(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    norms: NDArray[np.float32] = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    return norms
