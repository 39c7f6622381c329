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
from numpy.typing import NDArray

from sparft_plugin.corpus.rows import Place
from sparft_plugin.errors import SparftError, unknown_name

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

    def columns(self) -> list[str]:
        """Names of the columns, fields of nested ones by their dotted path."""
        return _schema_paths(self.schema())

    @abstractmethod
    def batches(self, names: Sequence[str]) -> Iterator[list[list[Any]]]:
        """Read through columns that ``columns()`` lists.

        Yields
        ------
        list of list
            One list of Python values per name, all of one length of at most ``BATCH_ROWS``.
        """

    @abstractmethod
    def take(self, rows: Sequence[int]) -> Any:
        """Read distinct, increasing row numbers as a pyarrow.Table with all columns."""

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
            paths.update(path for record in records for path in _row_paths(record))
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
            raise self._unreadable("JSON", error) from error
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
                raise self._unreadable("a JSON array", error) from error
            yield from values
        else:
            yield from (json.loads(line) for line in file if not line.isspace())

    def _broken(self, row: int, reason: str) -> SparftError:
        return SparftError(f"{self.name}, row {row} is no JSON object ({reason}); mend the file.")


class ParquetSource(Source):
    """One parquet file: columns are read alone, rows by their row group.

    Raises
    ------
    SparftError
        If the file does not exist or is no parquet file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, str(path)
        self._file()

    def schema(self) -> Any:
        """Arrow schema of the file."""
        return self._file().schema_arrow

    def batches(self, names: Sequence[str]) -> Iterator[list[list[Any]]]:
        """Read the named columns only."""
        try:
            for batch in self._file().iter_batches(BATCH_ROWS, columns=list(names)):
                yield [table_column(batch, name).to_pylist() for name in names]
        except (OSError, pa.ArrowException) as error:
            raise self._unreadable("parquet", error) from error

    def take(self, rows: Sequence[int]) -> Any:
        """Read a batch at a time, of the row groups that hold a wanted row."""
        file = self._file()
        if not rows:
            return file.schema_arrow.empty_table()
        total = file.metadata.num_rows
        if rows[-1] >= total:
            raise SparftError(f"{self.name} has {total} rows, but row {rows[-1]} is asked for.")
        groups = range(file.num_row_groups)
        sizes = np.array([file.metadata.row_group(group).num_rows for group in groups])
        starts = np.cumsum(sizes) - sizes
        used, group = np.unique(
            np.searchsorted(starts, rows, side="right") - 1, return_inverse=True
        )
        before = starts[used] - (np.cumsum(sizes[used]) - sizes[used])
        return pa.concat_tables(self._pick(file, used.tolist(), np.array(rows) - before[group]))

    def _pick(self, file: Any, groups: list[int], rows: NDArray[np.int64]) -> Iterator[Any]:
        """Rows by their number within some row groups, one of which may be the whole file."""
        start = 0
        try:
            for batch in file.iter_batches(BATCH_ROWS, row_groups=groups):
                inside = rows[(rows >= start) & (rows < start + len(batch))] - start
                if len(inside):
                    yield pa.Table.from_batches([batch]).take(pa.array(inside))
                start += len(batch)
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


class DatasetSource(Source):
    """A split of a Hugging Face dataset, memory-mapped by the ``datasets`` library.

    Media stay as they are stored; nothing is decoded.
    """

    def __init__(self, dataset: Any, name: str) -> None:
        self._rows, self.name = dataset.with_format("arrow"), name

    def schema(self) -> Any:
        """Arrow schema of the dataset's features."""
        return self._rows.features.arrow_schema

    def batches(self, names: Sequence[str]) -> Iterator[list[list[Any]]]:
        """Read the named columns only."""
        known = set(self._rows.column_names)
        tops = dict.fromkeys(name if name in known else name.split(".")[0] for name in names)
        for table in self._rows.select_columns(list(tops)).iter(BATCH_ROWS):
            yield [table_column(table, name).to_pylist() for name in names]

    def take(self, rows: Sequence[int]) -> Any:
        """Read rows by number."""
        if rows and rows[-1] >= len(self._rows):
            raise SparftError(
                f"{self.name} has {len(self._rows)} rows, but row {rows[-1]} is asked for."
            )
        return self._rows[list(rows)]


READERS: dict[str, Callable[[Path], Source]] = {
    ".parquet": ParquetSource,
    ".jsonl": JsonSource,
    ".json": JsonSource,
}


def open_sources(inputs: Sequence[Path | str]) -> list[Source]:
    """Open every input, folders file by file in the order of their paths.

    In a folder, hidden files and what ``sparft reduce`` wrote beside its output are passed over.

    Parameters
    ----------
    inputs : sequence of path or str
        Files (``.parquet``, ``.jsonl``, ``.json``), folders of them, folders that
        ``datasets.Dataset.save_to_disk`` wrote, or hub names ``OWNER/NAME[:CONFIG][:SPLIT]``; the
        split is ``train`` unless it is named.

    Raises
    ------
    SparftError
        Naming the input that cannot be opened.
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
        return _folder(path)
    if path.suffix in READERS:
        return [_file(path)]
    if path.exists():
        raise SparftError(f"{given} is no {', '.join(READERS)} file; convert it to one of them.")
    if str(given).partition(":")[0].count("/") == 1 and not str(given).startswith((".", "/", "~")):
        return [_hub(str(given))]
    raise SparftError(f"{given} does not exist; check the path.")


def _folder(folder: Path) -> list[Source]:
    files = sorted(p for p in folder.rglob("*") if p.suffix in READERS and p.is_file())
    files = [p for p in files if not any(s.startswith(".") for s in p.relative_to(folder).parts)]
    files = [p for p in files if not _beside_an_output(p)]
    if not files:
        raise SparftError(
            f"the folder {folder} holds no {', '.join(READERS)} file; check the path."
        )
    return [_file(path) for path in files]


def _file(path: Path) -> Source:
    check_name(path)
    return READERS[path.suffix](path)


def _beside_an_output(path: Path) -> bool:
    manifest = path.with_suffix("").with_suffix(MANIFEST)
    return path.name.endswith(MANIFEST) or (path.name.endswith(PAIRS) and manifest.is_file())


def _saved(folder: Path) -> Source:
    datasets = _datasets()
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
    datasets = _datasets()
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


def _datasets() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise SparftError(
            "Hugging Face datasets need the package datasets; pip install 'sparft-plugin[hub]'."
        ) from error
    return datasets


def table_column(table: Any, name: str) -> Any:
    """Column of an arrow table or batch, possibly by a dotted path."""
    if name in table.schema.names:
        return table.column(name)
    import pyarrow.compute as pc

    first, *rest = name.split(".")
    return pc.struct_field(table.column(first), rest)


def _schema_paths(fields: Iterable[Any], prefix: str = "") -> list[str]:
    """Dotted paths of arrow fields, structs before what is in them."""
    found = []
    for field in fields:
        found.append(prefix + field.name)
        if pa.types.is_struct(field.type):
            found += _schema_paths(field.type, f"{prefix}{field.name}.")
    return found


def _row_paths(row: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Dotted paths of the keys of a row, dicts before what is in them."""
    found = []
    for key, value in row.items():
        found.append(f"{prefix}{key}")
        if isinstance(value, Mapping):
            found += _row_paths(value, f"{prefix}{key}.")
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
