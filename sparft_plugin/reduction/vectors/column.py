"""Embeddings that lie in a column of the data, copied once to a file of numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.corpus import Corpus
from sparft_plugin.errors import SparftError
from sparft_plugin.reduction.vectors.base import to_unit


def save_column(corpus: Corpus, name: str, path: Path) -> Path:
    """Write a column of lists as a ``.npy`` file, one source batch in memory at a time.

    Parameters
    ----------
    corpus : Corpus
        Every source has the column.
    name : str
        Column of lists of numbers, all of one length, possibly dotted.
    path : Path
        The file to write.

    Raises
    ------
    SparftError
        Naming the row whose value is no list of numbers, is zero or not finite, or has another
        length.
    """
    width, rows = 0, 0
    with path.open("wb") as file:
        # The header's length is fixed, so it is written again when the shape is known.
        _header(file, 2**60, 2**30)
        for source in corpus.sources:
            source.check_has([name])
            number = 0
            for (values,) in source.batches([name]):
                for value in values:
                    row = _row(value, width, f"{source.name}, row {number}, key '{name}'")
                    width = len(row)
                    file.write(row.tobytes())
                    number += 1
            rows += number
        file.seek(0)
        _header(file, rows, width)
    return path


def _header(file: object, rows: int, width: int) -> None:
    shape = {"descr": "<f4", "fortran_order": False, "shape": (rows, width)}
    np.lib.format.write_array_header_1_0(file, shape)  # type: ignore[no-untyped-call]


def _row(value: object, width: int, place: str) -> NDArray[np.float32]:
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
    unit: NDArray[np.float32] = to_unit(numbers[None], place, lambda _: "this row")[0]
    return unit
