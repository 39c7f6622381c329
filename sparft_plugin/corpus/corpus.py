"""Several sources as one list of rows in verl's schema, read through or taken by number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparft_plugin.corpus.columns import Columns
from sparft_plugin.corpus.find import open_sources
from sparft_plugin.corpus.json_lines import RowsSource
from sparft_plugin.corpus.rows import Place
from sparft_plugin.corpus.source import Source
from sparft_plugin.errors import SparftError


class Row(NamedTuple):
    """What a prompt table reads of one row, unchecked."""

    place: Place
    prompt: Any
    reward_model: Any
    data_source: Any
    text: str | None
    """The prompt before it went into the template; None if it was chat messages."""
    labels: Sequence[Any]


class Corpus:
    """Rows of one or more sources; row numbers count through all of them.

    Parameters
    ----------
    sources : sequence of Source
        At least one.
    columns : Columns, optional
        Where prompt, answer and data source stand; the default is verl's schema.
    """

    def __init__(self, sources: Sequence[Source], columns: Columns | None = None) -> None:
        self.sources, self.columns = tuple(sources), columns or Columns()
        self._starts: list[int] = []

    @classmethod
    def open(cls, inputs: Sequence[Path | str], columns: Columns | None = None) -> Corpus:
        """Open files, folders and datasets; ``open_sources`` says which.

        Raises
        ------
        SparftError
            Naming the input that cannot be opened.
        """
        return cls(open_sources(inputs), columns)

    @classmethod
    def of_rows(
        cls, rows: Sequence[Mapping[str, Any]], name: str, columns: Columns | None = None
    ) -> Corpus:
        """Wrap rows that are in memory."""
        return cls([RowsSource(rows, name)], columns)

    @property
    def name(self) -> str:
        """Names of the sources, folders left out."""
        return ", ".join(Path(source.name).name for source in self.sources)

    def scan(self, labels: Sequence[str] = ()) -> Iterator[Row]:
        """Read through every row once, a batch of one source in memory at a time.

        Parameters
        ----------
        labels : sequence of str
            Columns of difficulty labels, possibly dotted.

        Raises
        ------
        SparftError
            If a source cannot be read, lacks a column or has no rows.
        """
        needed, total = self.columns.needed(labels), 0
        self._starts = []
        for source in self.sources:
            self._starts.append(total)
            source.check_has(needed)
            count = 0
            for batch in source.batches(needed):
                for values in zip(*batch, strict=True):
                    yield self._row(Place(source.name, count), values)
                    count += 1
            if not count:
                raise SparftError(f"{source.name} has no rows; give at least one prompt.")
            total += count

    def _row(self, place: Place, values: Sequence[Any]) -> Row:
        prompt, reward_model, data_source, labels = self.columns.read(values)
        text = values[0] if isinstance(values[0], str) else None
        return Row(place, prompt, reward_model, data_source, text, labels)

    def take(self, rows: NDArray[np.int64]) -> Any:
        """Read whole rows in verl's schema.

        Parameters
        ----------
        rows : ndarray of int64, shape (m,)
            Distinct row numbers, in any order.

        Returns
        -------
        pyarrow.Table
            m rows in the order of ``rows``, with every column of every source; a source without a
            column gives nulls.

        Raises
        ------
        SparftError
            If a row does not exist, or the columns of two sources cannot be joined.
        """
        order = np.argsort(rows, kind="stable")
        wanted = np.asarray(rows)[order]
        starts = self._first_rows()
        stops = [*starts[1:], np.iinfo(np.int64).max]
        parts = []
        for source, start, stop in zip(self.sources, starts, stops, strict=True):
            here = wanted[(wanted >= start) & (wanted < stop)] - start
            if len(here):
                parts.append(self.columns.to_verl(source.take(here.tolist()), source.name))
        back = pa.array(np.argsort(order, kind="stable"))
        return self._join(parts).take(back).combine_chunks()

    def place(self, row: int) -> Place:
        """Source of a row and its number there."""
        starts = self._starts or self._first_rows()
        index = int(np.searchsorted(starts, row, side="right")) - 1
        return Place(self.sources[index].name, row - starts[index])

    def _first_rows(self) -> list[int]:
        if len(self._starts) < len(self.sources):
            for _ in self.scan():
                pass
        return self._starts

    def _join(self, parts: Sequence[Any]) -> Any:
        try:
            table = pa.concat_tables(parts, promote_options="permissive")
        except pa.ArrowException as error:
            names = ", ".join(source.name for source in self.sources)
            raise SparftError(
                f"the columns of {names} cannot be joined ({error}); give each column one type."
            ) from error
        # pandas notes the row numbers of the file it wrote, which no longer hold.
        kept = {k: v for k, v in (table.schema.metadata or {}).items() if k != b"pandas"}
        return table.replace_schema_metadata(kept or None)
