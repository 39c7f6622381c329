"""Several sources as one list of rows in verl's schema, read through or taken by number."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparft_plugin.corpus.columns import Columns
from sparft_plugin.corpus.rows import Place, read_messages, read_user_text
from sparft_plugin.corpus.sources import RowsSource, Source, open_sources
from sparft_plugin.errors import SparftError

_OF_DATASETS = b"huggingface"
_PLAIN = {"Value", "List", "LargeList", "Sequence"}
"""Features of ``datasets`` that an arrow type tells as well."""


class Row(NamedTuple):
    """What a prompt table reads of one row, unchecked."""

    place: Place
    prompt: Any
    reward_model: Any
    data_source: Any
    text: str | None
    """The prompt before it went into the template; None if it was chat messages."""
    labels: Sequence[Any]
    beside: Mapping[str, Any]
    """Further columns that were asked for, by name."""


class Corpus:
    """Rows of one or more sources; row numbers count through all of them.

    ``columns`` says where prompt, answer and data source stand; the default is verl's schema.
    """

    def __init__(self, sources: Sequence[Source], columns: Columns | None = None) -> None:
        self.sources, self.columns = tuple(sources), columns or Columns()
        self._starts: list[int] = []

    @classmethod
    def open(cls, inputs: Sequence[Path | str], columns: Columns | None = None) -> Corpus:
        """Open files, folders and datasets, as ``open_sources`` does."""
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

    def scan(self, labels: Sequence[str] = (), *, beside: Sequence[str] = ()) -> Iterator[Row]:
        """Read through every row once, a batch of one source in memory at a time.

        ``labels`` are columns of difficulties, possibly dotted; ``beside`` are further columns,
        null in a source that has none of the name. A SparftError says if a source cannot be read,
        lacks a column or has no rows.
        """
        needed = self.columns.needed(labels)
        for place, values in self._read(needed, beside):
            prompt, reward_model, data_source, found = self.columns.read(values[: len(needed)])
            text = values[0] if isinstance(values[0], str) else None
            more = dict(zip(beside, values[len(needed) :], strict=True))
            yield Row(place, prompt, reward_model, data_source, text, found, more)

    def texts(self) -> Iterator[str]:
        """Read through the texts of the prompts; nothing else of a row need be there."""
        key = self.columns.needed()[0]
        for place, (prompt,) in self._read([key]):
            messages = read_messages(self.columns.messages(prompt), place, key)
            text = read_user_text(messages, place, key)
            yield prompt if isinstance(prompt, str) else text

    def _read(
        self, names: Sequence[str], beside: Sequence[str] = ()
    ) -> Iterator[tuple[Place, Sequence[Any]]]:
        """Values of each row in the order of the names; notes where each source starts."""
        starts: list[int] = []
        if len(self._starts) < len(self.sources):
            self._starts = starts
        total = 0
        for source in self.sources:
            starts.append(total)
            source.check_has(names)
            known = source.columns() if beside else []
            there = [*names, *(name for name in beside if name in known)]
            count = 0
            for batch in source.batches(there):
                found = dict(zip(there, batch, strict=True))
                nulls = [None] * len(batch[0])
                for values in zip(*(found.get(n, nulls) for n in [*names, *beside]), strict=True):
                    yield Place(source.name, count), values
                    count += 1
            if not count:
                raise SparftError(f"{source.name} has no rows; give at least one prompt.")
            total += count

    @cached_property
    def schema(self) -> Any:
        """Arrow schema of whole rows in verl's form, the same whichever of them are taken.

        Columns and fields stand in the order of their names. Types are those that all rows of all
        sources fit in: null becomes any other, integers fractions, structs get all their fields.
        A SparftError names the source or key that does not fit, or a column that would be replaced.
        """
        schemas, whole = [], pa.schema([])
        for source in self.sources:
            source.check_has(self.columns.needed())
            rows = self.columns.to_verl(source.schema().empty_table(), source.name).schema
            schemas.append(rows)
            try:
                whole = pa.unify_schemas(
                    [whole, rows.remove_metadata()], promote_options="permissive"
                )
            except pa.ArrowException as error:
                raise _clash(source, error) from error
        return pa.schema(list(_sorted(pa.struct(list(whole))))).with_metadata(_notes(schemas))

    def take(self, rows: NDArray[np.int64]) -> Any:
        """Read whole rows in verl's schema as a pyarrow.Table.

        ``rows``, shape (m,), are distinct and in any order, which is that of the table. A source
        without a column gives nulls. A SparftError says if a row does not exist.
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


def _sorted(kind: Any) -> Any:
    """The type with fields sorted by name at every level, all of them nullable."""
    if pa.types.is_struct(kind):
        fields = sorted(kind, key=lambda field: field.name)
        return pa.struct([(field.name, _sorted(field.type)) for field in fields])
    if pa.types.is_list(kind):
        return pa.list_(_sorted(kind.value_type))
    if pa.types.is_large_list(kind):
        return pa.large_list(_sorted(kind.value_type))
    return kind


def _notes(schemas: Sequence[Any]) -> dict[bytes, bytes] | None:
    """Notes that all schemas share, and what ``datasets`` notes of media and labels.

    pandas notes the row numbers of the file it wrote, which no longer hold.
    """
    found = [schema.metadata or {} for schema in schemas]
    notes = {key: note for key, note in found[0].items() if all(n.get(key) == note for n in found)}
    features: dict[str, list[Any]] = {}
    for note in found:
        described = json.loads(note.get(_OF_DATASETS, b"{}")).get("info", {})
        for name, feature in (described.get("features") or {}).items():
            if set(re.findall(r'"_type": "(\w+)"', json.dumps(feature))) - _PLAIN:
                features.setdefault(name, []).append(feature)
    told = {name: each[0] for name, each in features.items() if each == each[:1] * len(each)}
    notes.pop(b"pandas", None)
    notes.pop(_OF_DATASETS, None)
    if told:
        notes[_OF_DATASETS] = json.dumps({"info": {"features": told}}, sort_keys=True).encode()
    return notes or None
