"""Columns by name, nested ones by a dotted path, from a parquet file or from rows in memory."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sparft_plugin.errors import SparftError


def read_parquet_columns(path: Path, names: Sequence[str]) -> list[list[Any]]:
    """Read only the named columns of one file, as lists of Python values.

    Raises
    ------
    SparftError
        If the file cannot be read, has no rows or lacks a column.
    """
    try:
        file = pq.ParquetFile(path)
        _check_known(names, _schema_paths(file.schema_arrow), str(path))
        table = file.read(columns=list(names))
    except FileNotFoundError as error:
        raise SparftError(f"{path} does not exist; check the path.") from error
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise SparftError(f"{path} cannot be read as parquet: {reason}") from error
    if not table.num_rows:
        raise SparftError(f"{path} has no rows; give at least one prompt.")
    return [_table_column(table, name).to_pylist() for name in names]


def read_row_columns(
    rows: Sequence[Mapping[str, Any]], names: Sequence[str], source: str
) -> list[list[Any]]:
    """Collect the named columns of rows in memory; a row without the column holds None.

    Raises
    ------
    SparftError
        If no row has the column.
    """
    if rows:
        _check_known(names, sorted({path for row in rows for path in _row_paths(row)}), source)
    return [[_row_value(row, name) for row in rows] for name in names]


def _check_known(names: Sequence[str], known: Sequence[str], source: str) -> None:
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"; did you mean '{near[0]}'?" if near else "."
            listed = ", ".join(known) or "no column"
            raise SparftError(f"{source} has no column '{name}'{hint} It has: {listed}.")


def _schema_paths(fields: Iterable[Any], prefix: str = "") -> list[str]:
    found = []
    for field in fields:
        found.append(prefix + field.name)
        if pa.types.is_struct(field.type):
            children = [field.type.field(i) for i in range(field.type.num_fields)]
            found += _schema_paths(children, f"{prefix}{field.name}.")
    return found


def _table_column(table: Any, name: str) -> Any:
    if name in table.column_names:
        return table[name]
    first, *rest = name.split(".")
    return pc.struct_field(table[first], rest)


def _row_paths(row: Mapping[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key, value in row.items():
        found.append(f"{prefix}{key}")
        if isinstance(value, Mapping):
            found += _row_paths(value, f"{prefix}{key}.")
    return found


def _row_value(row: Mapping[str, Any], name: str) -> Any:
    if name in row:
        return row[name]
    value: Any = row
    for step in name.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value
