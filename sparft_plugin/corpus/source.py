"""One input: named columns in batches to read through, and whole rows by number to keep."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sparft_plugin.errors import SparftError

BATCH_ROWS = 1024
"""Rows in memory at once while a source is read through."""


class Source(ABC):
    """Rows that are numbered from 0; nothing but a batch of them is ever held in memory."""

    name: str
    """What messages call it: a path, or the name of a dataset."""

    @abstractmethod
    def schema(self) -> Any:
        """Arrow schema of the rows, the same whichever of them are taken."""

    def columns(self) -> list[str]:
        """Names of the columns, fields of nested ones by their dotted path."""
        return schema_paths(self.schema())

    @abstractmethod
    def batches(self, names: Sequence[str]) -> Iterator[list[list[Any]]]:
        """Read through the named columns.

        Parameters
        ----------
        names : sequence of str
            Columns, possibly dotted, that ``columns()`` lists.

        Yields
        ------
        list of list
            One list of Python values per name, all of one length of at most ``BATCH_ROWS``.
        """

    @abstractmethod
    def take(self, rows: Sequence[int]) -> Any:
        """Read whole rows.

        Parameters
        ----------
        rows : sequence of int
            Distinct row numbers, increasing.

        Returns
        -------
        pyarrow.Table
            Those rows with all columns, in that order.
        """

    def check_has(self, names: Sequence[str]) -> None:
        """Refuse a column that does not exist; the nearest one is offered.

        Raises
        ------
        SparftError
            Naming the source and its columns.
        """
        known = self.columns()
        if not known:
            raise SparftError(f"{self.name} has no rows; give at least one prompt.")
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
                hint = f"; did you mean '{near[0]}'?" if near else "."
                listed = ", ".join(known)
                raise SparftError(f"{self.name} has no column '{name}'{hint} It has: {listed}.")

    def unreadable(self, kind: str, error: Exception) -> SparftError:
        """Build the error for a source that is not what it should be."""
        reason = " ".join(str(error).split()) or type(error).__name__
        return SparftError(f"{self.name} cannot be read as {kind}: {reason}")


def schema_paths(fields: Iterable[Any], prefix: str = "") -> list[str]:
    """Dotted paths of arrow fields, structs before what is in them."""
    found = []
    for field in fields:
        found.append(prefix + field.name)
        if pa.types.is_struct(field.type):
            children = [field.type.field(i) for i in range(field.type.num_fields)]
            found += schema_paths(children, f"{prefix}{field.name}.")
    return found


def table_column(table: Any, name: str) -> Any:
    """Column of an arrow table or batch, possibly by a dotted path."""
    if name in table.schema.names:
        return table.column(name)
    first, *rest = name.split(".")
    return pc.struct_field(table.column(first), rest)


def row_paths(row: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Dotted paths of the keys of a row, dicts before what is in them."""
    found = []
    for key, value in row.items():
        found.append(f"{prefix}{key}")
        if isinstance(value, Mapping):
            found += row_paths(value, f"{prefix}{key}.")
    return found


def row_value(row: Mapping[str, Any], name: str) -> Any:
    """Value of a row by a possibly dotted path; None where it is missing."""
    if name in row:
        return row[name]
    value: Any = row
    for step in name.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value
