"""JSON in its two forms, one record a line or one array; both are read record by record."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa

from sparft_plugin.corpus.source import BATCH_ROWS, Source, row_paths, row_value
from sparft_plugin.errors import SparftError

_CHUNK = 1 << 20
_SPACE = " \t\r\n"
_BETWEEN = _SPACE + ","


class RowsSource(Source):
    """Rows that are in memory already.

    Parameters
    ----------
    rows : sequence of mapping
        One dict per row.
    name : str
        What messages call them.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]], name: str) -> None:
        self._rows, self.name = rows, name

    def records(self) -> Iterator[Mapping[str, Any]]:
        """Every row in turn."""
        for row in range(len(self._rows)):
            yield self._rows[row]

    @cached_property
    def _columns(self) -> list[str]:
        return sorted({path for record in self.records() for path in row_paths(record)})

    def columns(self) -> list[str]:
        """Every key of every row."""
        return self._columns

    def batches(self, names: Sequence[str]) -> Iterator[list[list[Any]]]:
        """Pick the named values; a row without the key gives None."""
        found: list[list[Any]] = [[] for _ in names]
        for record in self.records():
            for values, name in zip(found, names, strict=True):
                values.append(row_value(record, name))
            if found and len(found[0]) == BATCH_ROWS:
                yield found
                found = [[] for _ in names]
        if found and found[0]:
            yield found

    def take(self, rows: Sequence[int]) -> Any:
        """Make a table of some rows; columns come in the order of the first rows that have them."""
        wanted, kept = set(rows), []
        for number, record in enumerate(self.records()):
            if number in wanted:
                kept.append(record)
        if len(kept) < len(rows):
            raise SparftError(
                f"{self.name} has fewer rows than row {rows[-1]}, which is asked for."
            )
        names = list(dict.fromkeys(name for record in kept for name in record))
        return pa.table([self._array(name, kept) for name in names], names=names)

    def _array(self, name: str, records: Sequence[Mapping[str, Any]]) -> Any:
        try:
            return pa.array([record.get(name) for record in records])
        except (pa.ArrowException, OverflowError) as error:
            raise SparftError(
                f"{self.name}, key '{name}': the values have no common type ({error}); give the "
                "key one type in every row."
            ) from error


class JsonSource(RowsSource):
    """A ``.jsonl`` or ``.json`` file: one object a line, or one array of objects.

    Raises
    ------
    SparftError
        If the file does not exist.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise SparftError(f"{path} does not exist; check the path.")
        self.path, self.name = path, str(path)

    def records(self) -> Iterator[Mapping[str, Any]]:
        """Every object in turn, parsed as it is reached.

        Raises
        ------
        SparftError
            Naming the row that is no JSON object.
        """
        try:
            with self.path.open(encoding="utf-8-sig") as file:
                start = file.read(_CHUNK).lstrip(_SPACE)
                file.seek(0)
                values = _array(file) if start.startswith("[") else _lines(file)
                row = 0
                for value in values:
                    if not isinstance(value, dict):
                        raise self._broken(row, f"it is a {type(value).__name__}")
                    yield value
                    row += 1
        except json.JSONDecodeError as error:
            raise self._broken(row, error.msg) from error
        except (OSError, UnicodeDecodeError) as error:
            raise self.unreadable("JSON", error) from error

    def _broken(self, row: int, reason: str) -> SparftError:
        return SparftError(f"{self.name}, row {row} is no JSON object ({reason}); mend the file.")


def _lines(file: TextIO) -> Iterator[Any]:
    for line in file:
        if not line.isspace():
            yield json.loads(line)


def _array(file: TextIO) -> Iterator[Any]:
    """Values of one array; at most a chunk and one value are in memory."""
    decode = json.JSONDecoder().raw_decode
    text, at = file.read(_CHUNK), 0
    at = text.index("[") + 1
    while True:
        while at < len(text) and text[at] in _BETWEEN:
            at += 1
        if at < len(text) and text[at] == "]":
            return
        try:
            value, end = decode(text, at)
            # A number may go on in the next chunk; every other value shows its end.
            whole = end < len(text)
        except json.JSONDecodeError:
            whole = False
        if whole:
            yield value
            at = end
            continue
        more = file.read(_CHUNK)
        if not more:
            decode(text, at)
            raise json.JSONDecodeError("the array is not closed", "", 0)
        text, at = text[at:] + more, 0
