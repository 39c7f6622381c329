"""Parquet files and Hugging Face datasets: columns are read alone, rows by their row group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sparft_plugin.corpus.source import BATCH_ROWS, Source, table_column
from sparft_plugin.errors import SparftError

_BUFFER = 1 << 20


class ParquetSource(Source):
    """One parquet file.

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
            raise self.unreadable("parquet", error) from error

    def take(self, rows: Sequence[int]) -> Any:
        """Read a batch at a time, of the row groups that hold a wanted row."""
        file, start, at = self._file(), 0, 0
        parts: list[Any] = []
        for group in range(file.num_row_groups):
            stop = start + file.metadata.row_group(group).num_rows
            end = at
            while end < len(rows) and rows[end] < stop:
                end += 1
            if end > at:
                parts += self._pick(file, group, np.array(rows[at:end]) - start)
            start, at = stop, end
        if at < len(rows):
            raise SparftError(f"{self.name} has {start} rows, but row {rows[at]} is asked for.")
        return pa.concat_tables(parts) if parts else file.schema_arrow.empty_table()

    def _pick(self, file: Any, group: int, rows: NDArray[np.int64]) -> Iterator[Any]:
        """Rows of one row group, which may be the whole file."""
        start = 0
        try:
            for batch in file.iter_batches(BATCH_ROWS, row_groups=[group]):
                inside = rows[(rows >= start) & (rows < start + len(batch))] - start
                if len(inside):
                    yield pa.Table.from_batches([batch]).take(pa.array(inside))
                start += len(batch)
        except (OSError, pa.ArrowException) as error:
            raise self.unreadable("parquet", error) from error

    def _file(self) -> Any:
        try:
            # Otherwise a whole row group is read into memory before its first batch.
            return pq.ParquetFile(self.path, pre_buffer=False, buffer_size=_BUFFER)
        except FileNotFoundError as error:
            raise SparftError(f"{self.path} does not exist; check the path.") from error
        except (OSError, pa.ArrowException) as error:
            raise self.unreadable("parquet", error) from error


class DatasetSource(Source):
    """A split of a Hugging Face dataset, memory-mapped by the ``datasets`` library.

    Parameters
    ----------
    dataset : datasets.Dataset
        Media stay as they are stored; nothing is decoded.
    name : str
        What messages call it.
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
