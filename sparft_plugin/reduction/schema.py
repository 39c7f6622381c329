"""The ``extra_info.sparft`` field: how ids, arms and difficulties travel with each row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from sparft_plugin.reduction.result import Reduction

SPARFT_TYPE = pa.struct([("id", pa.string()), ("arm", pa.int64()), ("difficulty", pa.float64())])


def add_sparft_column(table: Any, reduction: Reduction) -> Any:
    """Put ``sparft: {id, arm, difficulty}`` into the ``extra_info`` of every row.

    ``extra_info`` is created where it is missing or null, and an older ``sparft`` is replaced.

    Parameters
    ----------
    table : pyarrow.Table
        m rows in the order of the reduction; ``extra_info`` is a struct, null or not there.
    reduction : Reduction
        Ids, arms and difficulties of the m rows.

    Returns
    -------
    pyarrow.Table
        The same columns; ``extra_info``, and ``sparft`` in it, stand where their names sort.
    """
    names = table.column_names
    old = table["extra_info"] if "extra_info" in names else None
    column = _with_sparft(old, _sparft_array(reduction))
    if old is not None:
        return table.set_column(names.index("extra_info"), "extra_info", column)
    return table.add_column(sum(name < "extra_info" for name in names), "extra_info", column)


def _sparft_array(reduction: Reduction) -> Any:
    unknown = np.isnan(reduction.difficulties)
    columns = [
        pa.array(reduction.ids, pa.string()),
        pa.array(reduction.arms, pa.int64()),
        pa.array(reduction.difficulties, pa.float64(), mask=unknown),
    ]
    return pa.StructArray.from_arrays(columns, fields=list(SPARFT_TYPE))


def _with_sparft(old: Any, sparft: Any) -> Any:
    columns = {"sparft": sparft}
    if old is not None and pa.types.is_struct(old.type):
        whole = old.combine_chunks()
        whole = whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
        # Flattening hands a null struct's nullness to its fields, so that no row stays null.
        named = {field.name: each for field, each in zip(whole.type, whole.flatten(), strict=True)}
        columns = named | columns
    names = sorted(columns)
    return pa.StructArray.from_arrays([columns[name] for name in names], names)
