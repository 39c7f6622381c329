"""JSON in its two forms, one record a line or one array; both are read record by record."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa

from sparft_plugin.corpus.rows import Place
from sparft_plugin.corpus.source import BATCH_ROWS, Source, row_paths, row_value
from sparft_plugin.errors import SparftError

_CHUNK = 1 << 20
_SPACE = " \t\r\n"
_CUT = 16
"""A value that a chunk cuts off is broken this near its end, or in a string that is not closed."""


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
        """Make a table of some rows.

        Keys stay in the order of the records; where records differ in it, they are sorted, so that
        the order of the rows decides nothing.
        """
        wanted, kept = set(rows), []
        for number, record in enumerate(self.records()):
            if number in wanted:
                kept.append(record)
        if len(kept) < len(rows):
            raise SparftError(
                f"{self.name} has fewer rows than row {rows[-1]}, which is asked for."
            )
        kept = _same_keys(kept)
        names = list(kept[0]) if kept else []
        return pa.table([self._array(name, rows, kept) for name in names], names=names)

    def _array(self, name: str, rows: Sequence[int], records: Sequence[Mapping[str, Any]]) -> Any:
        try:
            return pa.array([record.get(name) for record in records])
        except UnicodeEncodeError as error:
            row = next(
                n for n, record in zip(rows, records, strict=True) if _is_cut(record.get(name))
            )
            raise Place(self.name, row).error(
                name, "holds half of a surrogate pair, which cannot be written; mend the row."
            ) from error
        except (pa.ArrowException, OverflowError) as error:
            raise SparftError(
                f"{self.name}, key '{name}': the values have no common type ({error}); give the "
                "key one type in every row."
            ) from error


def _same_keys(values: list[Any]) -> list[Any]:
    """Give all dicts among the values the same keys in one order, and so inside them."""
    records = [value for value in values if isinstance(value, Mapping)]
    lists = [value for value in values if isinstance(value, list)]
    if lists:
        inside = iter(_same_keys([each for value in lists for each in value]))
        values = [[next(inside) for _ in v] if isinstance(v, list) else v for v in values]
    if not records:
        return values
    first = list(records[0])
    agreed = all(list(record) == first for record in records)
    names = first if agreed else sorted({name for record in records for name in record})
    columns = {name: _same_keys([record.get(name) for record in records]) for name in names}
    rows = (dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True))
    rows = rows if names else iter(dict[str, Any]() for _ in records)
    return [next(rows) if isinstance(value, Mapping) else value for value in values]


def _is_cut(value: Any) -> bool:
    try:
        pa.array([value])
    except UnicodeEncodeError:
        return True
    return False


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
        row = 0
        try:
            with self.path.open(encoding="utf-8-sig") as file:
                window = _Window(file)
                if window.mark() == "[":
                    values = _array(window)
                else:
                    file.seek(0)
                    values = _lines(file)
                for value in values:
                    if not isinstance(value, dict):
                        raise self._broken(row, f"it is a {type(value).__name__}")
                    yield value
                    row += 1
        except json.JSONDecodeError as error:
            raise self._broken(row, error.msg) from error
        except (OSError, UnicodeDecodeError) as error:
            raise self.unreadable("JSON", error) from error
        except SparftError:
            raise
        except (ValueError, RecursionError) as error:
            # A number of thousands of digits, or a thousand lists in one another.
            raise self._broken(row, str(error)) from error

    def _broken(self, row: int, reason: str) -> SparftError:
        return SparftError(f"{self.name}, row {row} is no JSON object ({reason}); mend the file.")


def _lines(file: TextIO) -> Iterator[Any]:
    for line in file:
        if not line.isspace():
            yield json.loads(line)


class _Window:
    """What is left of a text; at most a chunk and one value are in memory."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._text, self._at = file, "", 0

    def mark(self) -> str:
        """Show the next character that is no space; nothing at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def step(self) -> None:
        """Go past the character that ``mark`` showed."""
        self._at += 1

    def value(self) -> Any:
        """Go past one value and return it."""
        decode = json.JSONDecoder().raw_decode
        self.mark()
        while True:
            try:
                value, end = decode(self._text, self._at)
            except json.JSONDecodeError as error:
                cut = error.pos >= len(self._text) - _CUT or error.msg.startswith("Unterminated")
                if not (cut and self._more()):
                    raise
            else:
                # A number may go on in the next chunk; every other value shows its end.
                if end < len(self._text) or not self._more():
                    self._at = end
                    return value

    def _more(self) -> bool:
        chunk = self._file.read(_CHUNK)
        if chunk:
            self._text, self._at = self._text[self._at :] + chunk, 0
        return bool(chunk)


def _array(window: _Window) -> Iterator[Any]:
    """Values of one array, and nothing after it."""
    window.step()
    closed = window.mark() == "]"
    while not closed:
        yield window.value()
        mark = window.mark()
        closed = mark == "]"
        if mark not in ("]", ","):
            raise json.JSONDecodeError("a comma is missing" if mark else "no ']' at the end", "", 0)
        if not closed:
            window.step()
    window.step()
    if window.mark():
        raise json.JSONDecodeError("it comes after the end of the array", "", 0)
