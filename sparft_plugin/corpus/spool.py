"""Texts on disk: written once in order, read by number, so that memory holds their places only."""

from __future__ import annotations

import os
import tempfile
from array import array
from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray


class TextSpool(Sequence[str]):
    """An immutable sequence of texts in an unnamed temporary file (in ``TMPDIR``).

    Eight bytes of memory a text; the file goes when the spool does.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._file = tempfile.TemporaryFile(prefix="sparft-texts-")  # noqa: SIM115
        self._ends = array("q", [0])
        for text in texts:
            self.append(text)

    def append(self, text: str) -> None:
        """Write one more text; only its maker does this."""
        data = text.encode("utf-8", "surrogatepass")
        self._file.write(data)
        self._ends.append(self._ends[-1] + len(data))

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Bytes of each text, shape (n,)."""
        return np.diff(np.frombuffer(self._ends, dtype=np.int64))

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        self._file.flush()
        start, end = self._ends[position], self._ends[position + 1]
        return os.pread(self._file.fileno(), end - start, start).decode("utf-8", "surrogatepass")
