"""Embeddings that the user brings: an array in memory, or a ``.npy`` file read in blocks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError
from sparft_plugin.reduction.vectors.base import PART_ROWS, Part, Vectors, to_unit


@dataclass(frozen=True, eq=False)
class ArrayPart(Part):
    """Rows of an array in memory."""

    name: str
    """What the array is called in an error."""
    array: NDArray[np.floating]
    """Vectors of any norm above 0, shape (b, width)."""
    start: int
    """Row of the whole array at which this part starts."""

    def load(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Leave out, scale to norm 1."""
        return _used(self.array, self.positions, self.name, self.start)


@dataclass(frozen=True, eq=False)
class FilePart(Part):
    """Rows of a ``.npy`` file, read and not mapped, so that they leave memory again."""

    path: str
    """The file."""
    offset: int
    """Byte at which its first row starts."""
    dtype: str
    """Type of its numbers."""
    width: int
    """Numbers of a row."""
    start: int
    """First row of this part."""

    def load(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Read, leave out, scale to norm 1."""
        count = len(self.positions) * self.width
        place = self.offset + self.start * self.width * np.dtype(self.dtype).itemsize
        rows = np.fromfile(self.path, dtype=self.dtype, count=count, offset=place)
        rows = rows.reshape(len(self.positions), self.width)
        return _used(rows, self.positions, self.path, self.start)


def _used(
    rows: NDArray[np.floating], positions: NDArray[np.int64], name: str, start: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    kept = np.flatnonzero(positions >= 0)
    if len(kept) < len(positions):
        rows, positions = rows[kept], positions[kept]
    return positions, to_unit(rows, name, lambda place: f"row {start + kept[place]}")


def given_vectors(
    embeddings: NDArray[np.floating] | Path | str, positions: NDArray[np.int64], total: int
) -> Vectors:
    """Wrap embeddings; a vector that is zero or not finite is refused when it is loaded.

    Parameters
    ----------
    embeddings : ndarray of float, shape (n, width), or path of a ``.npy`` file of such
        One vector per row of the data.
    positions : ndarray of int64, shape (n,)
        Position of each row in the whole; -1 leaves the row out.
    total : int
        Number of positions.

    Raises
    ------
    SparftError
        If the file is none, or the shape does not fit.
    """
    name = str(embeddings) if isinstance(embeddings, (str, Path)) else "the embeddings"
    array: NDArray[np.floating] = (
        _mapped(embeddings) if isinstance(embeddings, (str, Path)) else np.asarray(embeddings)
    )
    if array.ndim != 2 or len(array) != len(positions) or not array.size:
        raise SparftError(
            f"{name} have shape {array.shape}; one row for each of the {len(positions)} rows of "
            "the data is needed; encode the same data again."
        )
    parts: list[Part] = []
    for start in range(0, len(array), PART_ROWS):
        here = positions[start : start + PART_ROWS]
        if isinstance(array, np.memmap):
            kind = array.dtype.str
            parts.append(FilePart(here, name, array.offset, kind, array.shape[1], start))
        else:
            parts.append(ArrayPart(here, name, array[start : start + PART_ROWS], start))
    return Vectors(parts, total, array.shape[1])


def _mapped(path: Path | str) -> np.memmap[Any, Any]:
    """Open a file for its shape and the place of its numbers; no number is read."""
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise SparftError(f"{path} does not exist; check the path.") from error
    except (OSError, ValueError, EOFError) as error:
        raise SparftError(f"{path} is no .npy file of numbers: {error}") from error
    if not isinstance(mapped, np.memmap) or not np.issubdtype(mapped.dtype, np.floating):
        raise SparftError(f"{path} holds no floats; save them with numpy.save.")
    if not mapped.flags.c_contiguous:
        raise SparftError(f"{path} is in Fortran order; save a C-ordered array with numpy.save.")
    return mapped
