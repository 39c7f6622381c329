"""Several sources as one list of rows in verl's schema, read through or taken by number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparft_plugin.corpus.columns import Columns
from sparft_plugin.corpus.find import open_sources
from sparft_plugin.corpus.joined import in_order, joined, shared_notes
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

    @cached_property
    def schema(self) -> Any:
        """Arrow schema of whole rows in verl's form, the same whichever of them are taken.

        Columns and fields stand in the order of their names, and types are those that all rows of
        all sources fit in.

        Raises
        ------
        SparftError
            If a source lacks a needed column, a key has no one type, a mapping would replace a
            column, or the columns of a source cannot be joined with those of the others.
        """
        schemas, whole = [], pa.schema([])
        for source in self.sources:
            source.check_has(self.columns.needed())
            rows = self.columns.to_verl(source.schema().empty_table(), source.name)
            schemas.append(rows.schema)
            try:
                whole = joined(whole, rows.schema)
            except pa.ArrowException as error:
                raise _clash(source, error) from error
        return in_order(whole).with_metadata(shared_notes(schemas))

    def take(self, rows: NDArray[np.int64]) -> Any:
        """Read whole rows in verl's schema.

        Parameters
        ----------
        rows : ndarray of int64, shape (m,)
            Distinct row numbers, in any order.

        Returns
        -------
        pyarrow.Table
            m rows in the order of ``rows``, in the corpus's ``schema``; a source without a column
            gives nulls.

        Raises
        ------
        SparftError
            If a row does not exist, or the columns of two sources cannot be joined.
        """
        order = np.argsort(rows, kind="stable")
        wanted = np.asarray(rows)[order]
        starts = self._first_rows()
        stops = [*starts[1:], np.iinfo(np.int64).max]
        table = self.schema.empty_table()
        for source, start, stop in zip(self.sources, starts, stops, strict=True):
            here = wanted[(wanted >= start) & (wanted < stop)] - start
            if len(here):
                source.check_has(self.columns.needed())
                part = self.columns.to_verl(source.take(here.tolist()), source.name)
                try:
                    table = pa.concat_tables([table, part], promote_options="permissive")
                except pa.ArrowException as error:
                    raise _clash(source, error) from error
        back = pa.array(np.argsort(order, kind="stable"))
        return table.take(back).combine_chunks().replace_schema_metadata(self.schema.metadata)

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


def _clash(source: Source, error: Exception) -> SparftError:
    return SparftError(
        f"the columns of {source.name} cannot be joined with those of the inputs before it "
        f"({error}); give each column one type."
    )
