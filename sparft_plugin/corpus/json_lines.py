"""Rows that are in memory, and JSON in its two forms: one record a line, or one array."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any, TextIO, TypeVar

import pyarrow as pa

from sparft_plugin.corpus.joined import joined
from sparft_plugin.corpus.rows import Place
from sparft_plugin.corpus.source import BATCH_ROWS, Source, row_paths, row_value
from sparft_plugin.errors import SparftError

T = TypeVar("T")

_UNFIT = (pa.ArrowException, OverflowError, UnicodeEncodeError)
"""What pyarrow says of values that it cannot hold, or that have no common type."""
_AT_ONCE = 64
"""Rows handed to pyarrow at once; one array holds 2 GiB of text."""


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

    def columns(self) -> list[str]:
        """Every key of every row."""
        return self._layout[0]

    def batches(self, names: Sequence[str]) -> Iterator[list[list[Any]]]:
        """Pick the named values; a row without the key gives None."""
        for records in _blocks(self.records(), BATCH_ROWS):
            yield [[row_value(record, name) for record in records] for name in names]

    def schema(self) -> Any:
        """One type for each key, over all rows.

        Raises
        ------
        SparftError
            Naming the first row and key that does not fit the rows before it.
        """
        whole = self._layout[1]
        if isinstance(whole, SparftError):
            raise whole
        return whole

    @cached_property
    def _layout(self) -> tuple[list[str], Any]:
        """Every key, and the schema or why there is none: not every reader needs one."""
        paths: set[str] = set()
        whole, start = pa.schema([]), 0
        for records in _blocks(self.records(), _AT_ONCE):
            paths.update(path for record in records for path in row_paths(record))
            if not isinstance(whole, SparftError):
                rows = range(start, start + len(records))
                try:
                    whole = self._fit(rows, records, partial(_joined, whole))
                except SparftError as error:
                    whole = error
            start += len(records)
        return sorted(paths), whole

    def take(self, rows: Sequence[int]) -> Any:
        """Make a table of some rows."""
        wanted = set(rows)
        records = enumerate(islice(self.records(), rows[-1] + 1 if rows else 0))
        kept = [record for number, record in records if number in wanted]
        if len(kept) < len(rows):
            raise SparftError(
                f"{self.name} has fewer rows than row {rows[-1]}, which is asked for."
            )
        schema = self.schema()
        read = partial(pa.array, type=pa.struct(list(schema)))
        blocks = zip(_blocks(rows, _AT_ONCE), _blocks(kept, _AT_ONCE), strict=True)
        arrays = [self._fit(numbers, records, read) for numbers, records in blocks]
        return pa.concat_tables([schema.empty_table(), *map(pa.Table.from_struct_array, arrays)])

    def _fit(
        self,
        rows: Sequence[int],
        records: Sequence[Mapping[str, Any]],
        read: Callable[[Sequence[Mapping[str, Any]]], Any],
    ) -> Any:
        """Hand records to pyarrow; an error names the first row and key that it does not take."""
        try:
            return read(records)
        except _UNFIT as error:
            n = bisect_left(
                range(len(records)), True, key=lambda n: _fault(read, records[: n + 1]) is not None
            )
            columns = {key: [{key: r.get(key)} for r in records[: n + 1]] for key in records[n]}
            faults = ((key, _fault(read, column)) for key, column in columns.items())
            key, fault = next(((key, fault) for key, fault in faults if fault), ("", error))
            raise Place(self.name, rows[n]).error(key, _problem(fault)) from fault


def _blocks(values: Iterable[T], size: int) -> Iterator[list[T]]:
    values = iter(values)
    while block := list(islice(values, size)):
        yield block


def _problem(fault: Exception) -> str:
    if isinstance(fault, UnicodeEncodeError):
        return "holds half of a surrogate pair, which cannot be written; mend the row."
    reason = " ".join(str(fault).split())
    return f"has no one type ({reason}); give the key, and all within it, one type in every row."


def _joined(known: Any, records: Sequence[Mapping[str, Any]]) -> Any:
    return joined(known, pa.schema(list(pa.array(records).type)))


def _fault(read: Callable[[Any], Any], records: Sequence[Mapping[str, Any]]) -> Exception | None:
    try:
        read(records)
    except _UNFIT as error:
        return error
    return None


class JsonSource(RowsSource):
    """A ``.jsonl`` or ``.json`` file: one object a line, or one array of objects.

    Lines are read one by one; an array is in memory as a whole while it is read.

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
        """Every object in turn.

        Raises
        ------
        SparftError
            Naming the row that is no JSON object.
        """
        row = 0
        try:
            with self.path.open(encoding="utf-8-sig") as file:
                for value in self._values(file):
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

    def _values(self, file: TextIO) -> Iterator[Any]:
        """Values of one array if the text begins with one, of its lines otherwise."""
        first = file.read(1)
        while first.isspace():
            first = file.read(1)
        file.seek(0)
        if first == "[":
            try:
                values = json.load(file)
            except (ValueError, RecursionError) as error:
                raise self.unreadable("a JSON array", error) from error
            yield from values
        else:
            yield from (json.loads(line) for line in file if not line.isspace())

    def _broken(self, row: int, reason: str) -> SparftError:
        return SparftError(f"{self.name}, row {row} is no JSON object ({reason}); mend the file.")
