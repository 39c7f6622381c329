"""Embeddings as one float32 array of unit rows, in memory or, if it is large, in a file."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.corpus import Corpus
from sparft_plugin.errors import SparftError

Real = TypeVar("Real", bound=np.floating)
Vectors = NDArray[np.float32]
"""Shape (n, d), each row of Euclidean norm 1; possibly a memory map."""

IN_MEMORY = 2**28
"""Bytes of vectors up to which they lie in memory: 175,000 vectors of 384 dimensions."""
BLOCK = 4096
"""Rows that are worked on at once: 6 MiB at 384 dimensions."""
SHORT, LONG = 1e-12, 1e17
"""Norms whose squares single precision holds with all its digits."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit BLAS and OpenMP to one thread, so that no last bit is chance."""
    # A limit binds only the libraries already loaded, hence scikit-learn first.
    import sklearn.cluster  # noqa: F401
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        yield


def new_vectors(rows: int, width: int) -> Vectors:
    """Make room for vectors: in memory, or above ``IN_MEMORY`` bytes in a file in ``TMPDIR``."""
    size = rows * width * 4
    if size <= IN_MEMORY:
        return np.empty((rows, width), dtype=np.float32)
    with tempfile.TemporaryFile(prefix="sparft-vectors-") as file:
        try:
            _reserve(file.fileno(), size)
        except OSError as error:
            raise SparftError(
                f"the {rows} vectors do not fit into {tempfile.gettempdir()} ({error}); make "
                f"{size / 2**30:.1f} GiB of room there or set TMPDIR to another folder."
            ) from error
        return np.memmap(file, np.float32, "r+", shape=(rows, width))


def _reserve(file: int, size: int) -> None:
    """Take the room now: a disk that fills up under a memory map kills the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
        return
    for start in range(0, size, 2**20):
        os.write(file, bytes(min(2**20, size - start)))


def forget(vectors: NDArray[np.floating]) -> None:
    """Give the memory of pages that were read or written back, if the array lies in a file."""
    mapped = getattr(vectors, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def blocks(vectors: NDArray[Real]) -> Iterator[tuple[slice, NDArray[Real]]]:
    """Rows in blocks of a fixed size, in order, with the place of each block."""
    for start in range(0, len(vectors), BLOCK):
        place = slice(start, start + BLOCK)
        yield place, np.asarray(vectors[place])
        forget(vectors)


def open_vectors(
    embeddings: NDArray[np.floating] | Path | str, *totals: int
) -> tuple[NDArray[np.floating], str]:
    """Return an array, or a map of a ``.npy`` file, and its name for errors.

    A SparftError says if it is no matrix of floats, or has none of these numbers of rows.
    """
    if isinstance(embeddings, (str, Path)):
        array, name = _mapped(embeddings), str(embeddings)
    else:
        array, name = np.asarray(embeddings), "the embeddings"
    if array.ndim != 2 or not array.size or (totals and len(array) not in totals):
        rows = f"each of the {totals[0]} rows" if totals else "each row"
        raise SparftError(
            f"{name} have shape {array.shape}; one row for {rows} of the data is needed; encode "
            "the same data again."
        )
    return array, name


def _mapped(path: Path | str) -> NDArray[np.floating]:
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


def take_vectors(
    embeddings: NDArray[np.floating] | Path | str, rows: NDArray[np.int64], total: int
) -> Vectors:
    """Take different rows of ``total``, in this order, scaled to norm 1."""
    array, name = open_vectors(embeddings, total)
    taken, to = new_vectors(len(rows), array.shape[1]), np.full(total, -1, dtype=np.int64)
    to[rows] = np.arange(len(rows))
    # In the order of the file: a page that is read brings its neighbours into memory.
    for place, block in blocks(array):
        wanted = np.flatnonzero(to[place] >= 0)
        taken[to[place][wanted]] = to_unit(block[wanted], name, row_of(place.start + wanted))
        forget(taken)
    return taken


def row_of(rows: NDArray[np.int64] | range) -> Callable[[int], str]:
    """Names of rows for errors."""
    return lambda place: f"row {rows[place]}"


def column_vectors(corpus: Corpus, name: str) -> Vectors:
    """Read a column of lists of numbers, possibly dotted, as unit vectors, one per row."""
    with tempfile.TemporaryFile(prefix="sparft-column-") as file:
        width = 0
        for source in corpus.sources:
            source.check_has([name])
            values = (value for (batch,) in source.batches([name]) for value in batch)
            for number, value in enumerate(values):
                row = _numbers(value, width, f"{source.name}, row {number}, key '{name}'")
                width = len(row)
                file.write(row.tobytes())
        file.flush()
        return np.memmap(file, np.float32, "r").reshape(-1, width)


def _numbers(value: object, width: int, place: str) -> Vectors:
    if not isinstance(value, (list, np.ndarray)) or not len(value):
        raise SparftError(f"{place}: must be a list of numbers, not {type(value).__name__}.")
    try:
        numbers = np.asarray(value)
    except ValueError as error:
        raise SparftError(f"{place}: must be a flat list of numbers ({error}).") from error
    if numbers.dtype.kind not in "fiu" or numbers.ndim != 1:
        raise SparftError(f"{place}: must be a flat list of numbers; mend or drop the row.")
    if width and len(numbers) != width:
        raise SparftError(f"{place}: has {len(numbers)} numbers where earlier rows have {width}.")
    unit: Vectors = to_unit(numbers[None], place, lambda _: "this row")[0]
    return unit


def to_unit(block: NDArray[np.floating], name: str, called: Callable[[int], str]) -> Vectors:
    """Scale vectors to norm 1; the result of a vector depends on that vector alone.

    A SparftError names the first that is zero or not finite: ``called`` tells what the vector at a
    place in the block is called, ``name`` what all are.
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
    unit: Vectors = vectors / scale[:, None] if (scale != 1).any() else vectors
    return unit


def _norms(vectors: Vectors) -> Vectors:
    norms: Vectors = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    return norms
