"""Sources of rows: parquet, JSON, Hugging Face datasets, rows in memory; and what opens them."""

from __future__ import annotations

import difflib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any, TextIO, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sparft_plugin.corpus.rows import Place
from sparft_plugin.errors import SparftError, import_extra, unknown_name

T = TypeVar("T")
Rows = Sequence[Mapping[str, Any]]

BATCH_ROWS = 1024
"""Rows in memory at once while a source is read through."""
MANIFEST, PAIRS = ".manifest.json", ".pairs.jsonl"
"""What ``sparft reduce`` writes beside its output; it holds no rows."""
SPLIT = "train"
_AT_ONCE = 64
"""Rows handed to pyarrow at once; one array holds 2 GiB of text."""
_BUFFER = 1 << 20
_UNFIT = (pa.ArrowException, OverflowError, UnicodeEncodeError)
"""What pyarrow says of values that it cannot hold, or that have no common type."""


class Source(ABC):
    """Rows that are numbered from 0; nothing but a batch of them is ever held in memory."""

    name: str
    """What messages call it: a path, or the name of a dataset."""

    @abstractmethod
    def schema(self) -> Any:
        """Arrow schema of the rows, the same whichever of them are taken."""

    @abstractmethod
    def batches(self, names: Sequence[str]) -> Iterator[list[list[Any]]]:
        """Read through columns: a list of Python values per name, ``BATCH_ROWS`` at most."""

    @abstractmethod
    def take(self, rows: Sequence[int]) -> Any:
        """Read distinct, increasing row numbers as a pyarrow.Table with all columns."""

    def columns(self) -> list[str]:
        """Names of the columns, fields of nested ones by their dotted path."""
        return _paths((field.name, field.type) for field in self.schema())

    def check_has(self, names: Sequence[str]) -> None:
        """Refuse a column that does not exist; the nearest one is offered."""
        known = self.columns()
        if not known:
            raise SparftError(f"{self.name} has no rows; give at least one prompt.")
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
                hint = f"; did you mean '{near[0]}'?" if near else "."
                listed = ", ".join(known)
                raise SparftError(f"{self.name} has no column '{name}'{hint} It has: {listed}.")

    def _unreadable(self, kind: str, error: Exception) -> SparftError:
        reason = " ".join(str(error).split()) or type(error).__name__
        return SparftError(f"{self.name} cannot be read as {kind}: {reason}")

    def _too_short(self, total: int, row: int) -> SparftError:
        return SparftError(f"{self.name} has {total} rows, but row {row} is asked for.")


class RowsSource(Source):
    """Rows that are in memory already, one dict per row, under the name that messages use."""

    def __init__(self, rows: Rows, name: str) -> None:
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
            yield [[_row_value(record, name) for record in records] for name in names]

    def schema(self) -> Any:
        """One type for each key; a SparftError names the first row and key that does not fit."""
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
            paths.update(path for record in records for path in _paths(record.items()))
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
        wanted, kept, total = set(rows), [], 0
        for number, record in enumerate(islice(self.records(), max(rows, default=-1) + 1)):
            kept += [record] if number in wanted else []
            total = number + 1
        if len(kept) < len(rows):
            raise self._too_short(total, rows[-1])
        schema = self.schema()
        read = partial(pa.array, type=pa.struct(list(schema)))
        blocks = zip(_blocks(rows, _AT_ONCE), _blocks(kept, _AT_ONCE), strict=True)
        arrays = [self._fit(numbers, records, read) for numbers, records in blocks]
        return pa.concat_tables([schema.empty_table(), *map(pa.Table.from_struct_array, arrays)])

    def _fit(self, rows: Sequence[int], records: Rows, read: Callable[[Rows], Any]) -> Any:
        """Hand records to pyarrow; an error names the first row and key that it does not take."""
        try:
            return read(records)
        except _UNFIT as error:
            for n, record in enumerate(records):
                for key in record:
                    fault = _fault(read, [{key: r.get(key)} for r in records[: n + 1]])
                    if fault is not None:
                        raise Place(self.name, rows[n]).error(key, _problem(fault)) from fault
            raise Place(self.name, rows[0]).error("", _problem(error)) from error


def _fault(read: Callable[[Rows], Any], records: Rows) -> Exception | None:
    try:
        read(records)
    except _UNFIT as error:
        return error
    return None


def _problem(fault: Exception) -> str:
    if isinstance(fault, UnicodeEncodeError):
        return "holds half of a surrogate pair, which cannot be written; mend the row."
    reason = " ".join(str(fault).split())
    return f"has no one type ({reason}); give the key, and all within it, one type in every row."


def _joined(known: Any, records: Rows) -> Any:
    found = pa.schema(list(pa.array(records).type))
    return pa.unify_schemas([known, found], promote_options="permissive")


class JsonSource(RowsSource):
    """A ``.jsonl`` or ``.json`` file: one object a line, or one array of objects.

    Lines are read one by one; an array is in memory as a whole while it is read.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise SparftError(f"{path} does not exist; check the path.")
        self.path, self.name = path, str(path)

    def records(self) -> Iterator[Mapping[str, Any]]:
        """Every object in turn; a SparftError names the row that is none."""
        row = 0
        try:
            with self.path.open(encoding="utf-8-sig") as file:
                for value in self._values(file):
                    if not isinstance(value, dict):
                        raise self._broken(row, f"it is a {type(value).__name__}")
                    yield value
                    row += 1
        except SparftError:
            raise
        except (OSError, UnicodeDecodeError) as error:
            raise self._unreadable("JSON", error) from error
        except (ValueError, RecursionError) as error:
            # No JSON, a number of thousands of digits, or a thousand lists in one another.
            raise self._broken(row, getattr(error, "msg", str(error))) from error

    def _values(self, file: TextIO) -> Iterator[Any]:
        """Values of one array if the text begins with one, of its lines otherwise."""
        first = file.read(1)
        while first.isspace():
            first = file.read(1)
        file.seek(0)
        if first != "[":
            yield from (json.loads(line) for line in file if not line.isspace())
            return
        try:
            values = json.load(file)
        except (ValueError, RecursionError) as error:
            raise self._unreadable("a JSON array", error) from error
        yield from values

    def _broken(self, row: int, reason: str) -> SparftError:
        return SparftError(f"{self.name}, row {row} is no JSON object ({reason}); mend the file.")


class ArrowSource(Source):
    """Rows that a library gives as arrow tables."""

    @abstractmethod
    def tables(self, names: Sequence[str] | None = None) -> Iterator[Any]:
        """Read through all columns or some, ``BATCH_ROWS`` at a time."""

    def batches(self, names: Sequence[str]) -> Iterator[list[list[Any]]]:
        """Read the named columns only."""
        for table in self.tables(names):
            yield [table_column(table, name).to_pylist() for name in names]

    def take(self, rows: Sequence[int]) -> Any:
        """Read through the rows as far as the last that is wanted."""
        parts, wanted, start = [self.schema().empty_table()], np.array(rows, np.int64), 0
        for table in self.tables() if len(rows) else ():
            inside = wanted[(wanted >= start) & (wanted < start + len(table))] - start
            if len(inside):
                parts.append(table.take(pa.array(inside)))
            start += len(table)
            if start > rows[-1]:
                return pa.concat_tables(parts)
        if len(rows):
            raise self._too_short(start, rows[-1])
        return parts[0]


class ParquetSource(ArrowSource):
    """One parquet file; a SparftError if it does not exist or is none."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, str(path)
        self._file()

    def schema(self) -> Any:
        """Arrow schema of the file."""
        return self._file().schema_arrow

    def tables(self, names: Sequence[str] | None = None) -> Iterator[Any]:
        """Read through the file."""
        columns = None if names is None else list(names)
        try:
            for batch in self._file().iter_batches(BATCH_ROWS, columns=columns):
                yield pa.Table.from_batches([batch])
        except (OSError, pa.ArrowException) as error:
            raise self._unreadable("parquet", error) from error

    def _file(self) -> Any:
        try:
            # Otherwise a whole row group is read into memory before its first batch.
            return pq.ParquetFile(self.path, pre_buffer=False, buffer_size=_BUFFER)
        except FileNotFoundError as error:
            raise SparftError(f"{self.path} does not exist; check the path.") from error
        except (OSError, pa.ArrowException) as error:
            raise self._unreadable("parquet", error) from error


class DatasetSource(ArrowSource):
    """A split of a Hugging Face dataset, memory-mapped; media stay as they are stored."""

    def __init__(self, dataset: Any, name: str) -> None:
        self._rows, self.name = dataset.with_format("arrow"), name

    def schema(self) -> Any:
        """Arrow schema of the dataset's features."""
        return self._rows.features.arrow_schema

    def tables(self, names: Sequence[str] | None = None) -> Iterator[Any]:
        """Read through the split."""
        known = self._rows.column_names
        tops = known if names is None else [n if n in known else n.split(".")[0] for n in names]
        yield from self._rows.select_columns(list(dict.fromkeys(tops))).iter(BATCH_ROWS)


READERS: dict[str, Callable[[Path], Source]] = {
    ".parquet": ParquetSource,
    ".jsonl": JsonSource,
    ".json": JsonSource,
}


def open_sources(inputs: Sequence[Path | str]) -> list[Source]:
    """Open every input, folders file by file in the order of their paths.

    An input is a file (``.parquet``, ``.jsonl``, ``.json``), a folder of them, a folder that
    ``datasets.Dataset.save_to_disk`` wrote, or a hub name ``OWNER/NAME[:CONFIG][:SPLIT]``, whose
    split is ``train`` unless it is named. In a folder, hidden files and what ``sparft reduce``
    wrote beside its output are passed over. A SparftError names an input that cannot be opened.
    """
    if not inputs:
        raise SparftError("no input was given; name at least one file, folder or dataset.")
    return [source for given in inputs for source in _open(given)]


def check_name(path: Path) -> None:
    """Refuse a file name that is not UTF-8, in ASCII: neither arrow nor a manifest can hold it."""
    if any("\udc80" <= letter <= "\udcff" for letter in str(path)):
        raise SparftError(f"the file name {ascii(str(path))} is not UTF-8; rename it.")


def _open(given: Path | str) -> list[Source]:
    path = Path(given)
    if (path / "dataset_info.json").is_file() or (path / "dataset_dict.json").is_file():
        return [_saved(path)]
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if _is_data(p, path))
        if not files:
            listed = ", ".join(READERS)
            raise SparftError(f"the folder {path} holds no {listed} file; check the path.")
        return [_file(each) for each in files]
    if path.suffix in READERS:
        return [_file(path)]
    if path.exists():
        raise SparftError(f"{given} is no {', '.join(READERS)} file; convert it to one of them.")
    if str(given).partition(":")[0].count("/") == 1 and not str(given).startswith((".", "/", "~")):
        return [_hub(str(given))]
    raise SparftError(f"{given} does not exist; check the path.")


def _is_data(path: Path, folder: Path) -> bool:
    """Whether a file in a folder holds rows: none that is hidden or stands beside an output."""
    if path.suffix not in READERS or not path.is_file() or path.name.endswith(MANIFEST):
        return False
    manifest = path.with_suffix("").with_suffix(MANIFEST)
    hidden = any(step.startswith(".") for step in path.relative_to(folder).parts)
    return not hidden and not (path.name.endswith(PAIRS) and manifest.is_file())


def _file(path: Path) -> Source:
    check_name(path)
    return READERS[path.suffix](path)


def _saved(folder: Path) -> Source:
    import_extra("hub", "a dataset of Hugging Face", "datasets")
    import datasets

    try:
        loaded = datasets.load_from_disk(str(folder))
    except (OSError, ValueError) as error:
        raise SparftError(f"{folder} cannot be read as a saved dataset: {error}") from error
    if isinstance(loaded, datasets.DatasetDict):
        if SPLIT not in loaded:
            raise unknown_name(f"split of {folder}", SPLIT, loaded)
        loaded = loaded[SPLIT]
    return DatasetSource(loaded, str(folder))


def _hub(given: str) -> Source:
    import_extra("hub", "a dataset of Hugging Face", "datasets")
    import datasets

    name, *rest = given.split(":")
    if len(rest) > 2:
        raise SparftError(f"{given} has too many colons; write OWNER/NAME[:CONFIG][:SPLIT].")
    config = rest[0] if len(rest) == 2 else None
    split = rest[-1] if rest else SPLIT
    errors = (OSError, ValueError, RuntimeError, KeyError, datasets.exceptions.DatasetsError)
    try:
        return DatasetSource(datasets.load_dataset(name, config, split=split), given)
    except errors as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise SparftError(
            f"{given} is no file here, and cannot be loaded from the Hugging Face hub ({reason}); "
            "check the path or the name, OWNER/NAME[:CONFIG][:SPLIT], and the network."
        ) from error


def table_column(table: Any, name: str) -> Any:
    """Column of an arrow table, possibly by a dotted path."""
    if name in table.schema.names:
        return table.column(name)
    import pyarrow.compute as pc

    first, *rest = name.split(".")
    return pc.struct_field(table.column(first), rest)


def _paths(named: Iterable[tuple[str, Any]], prefix: str = "") -> list[str]:
    """Dotted paths of arrow fields or of the keys of a row, structs before what is in them."""
    found = []
    for name, inner in named:
        found.append(f"{prefix}{name}")
        if isinstance(inner, Mapping):
            found += _paths(inner.items(), f"{found[-1]}.")
        elif isinstance(inner, pa.StructType):
            found += _paths(((field.name, field.type) for field in inner), f"{found[-1]}.")
    return found


def _row_value(row: Mapping[str, Any], name: str) -> Any:
    """Value of a row by a possibly dotted path; None where it is missing."""
    if name in row:
        return row[name]
    value: Any = row
    for step in name.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _blocks(values: Iterable[T], size: int) -> Iterator[list[T]]:
    values = iter(values)
    while block := list(islice(values, size)):
        yield block
