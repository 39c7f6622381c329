"""Parquet files and Hugging Face datasets: columns are read alone, rows by their row group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sparft_plugin.corpus.source import BATCH_ROWS, Source, schema_paths, table_column
from sparft_plugin.errors import SparftError


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

    def columns(self) -> list[str]:
        """Names from the file's schema."""
        return schema_paths(self._file().schema_arrow)

    def batches(self, names: Sequence[str]) -> Iterator[list[list[Any]]]:
        """Read the named columns only."""
        try:
            for batch in self._file().iter_batches(BATCH_ROWS, columns=list(names)):
                yield [table_column(batch, name) for name in names]
        except (OSError, pa.ArrowException) as error:
            raise self.unreadable("parquet", error) from error

    def take(self, rows: Sequence[int]) -> Any:
        """Read one row group at a time, and only those that hold a wanted row."""
        file, parts, start, at = self._file(), [], 0, 0
        for group in range(file.num_row_groups):
            stop = start + file.metadata.row_group(group).num_rows
            end = at
            while end < len(rows) and rows[end] < stop:
                end += 1
            if end > at:
                inside = pa.array([row - start for row in rows[at:end]])
                parts.append(file.read_row_group(group).take(inside))
            start, at = stop, end
        if at < len(rows):
            raise SparftError(f"{self.name} has {start} rows, but row {rows[at]} is asked for.")
        return pa.concat_tables(parts) if parts else file.schema_arrow.empty_table()

    def _file(self) -> Any:
        try:
            return pq.ParquetFile(self.path)
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

    def columns(self) -> list[str]:
        """Names from the dataset's features."""
        return schema_paths(self._rows.features.arrow_schema)

    def batches(self, names: Sequence[str]) -> Iterator[list[list[Any]]]:
        """Read the named columns only."""
        known = set(self._rows.column_names)
        tops = dict.fromkeys(name if name in known else name.split(".")[0] for name in names)
        for table in self._rows.select_columns(list(tops)).iter(BATCH_ROWS):
            yield [table_column(table, name) for name in names]

    def take(self, rows: Sequence[int]) -> Any:
        """Read rows by number."""
        if rows and rows[-1] >= len(self._rows):
            raise SparftError(
                f"{self.name} has {len(self._rows)} rows, but row {rows[-1]} is asked for."
            )
        table = self._rows[list(rows)]
        note = self._rows.features.arrow_schema.metadata
        return table.replace_schema_metadata(note)
