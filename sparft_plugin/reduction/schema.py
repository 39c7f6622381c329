"""The ``extra_info.sparft`` field: how ids, arms and difficulties travel with each row."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa

from sparft_plugin.errors import SparftError
from sparft_plugin.reduction.result import Reduction

SPARFT_TYPE = pa.struct([("id", pa.string()), ("arm", pa.int64()), ("difficulty", pa.float64())])
_FEATURE = {
    name: {"dtype": dtype, "_type": "Value"}
    for name, dtype in (("id", "string"), ("arm", "int64"), ("difficulty", "float64"))
}


def add_sparft_column(table: Any, reduction: Reduction) -> Any:
    """Put ``sparft: {id, arm, difficulty}`` into the ``extra_info`` of every row.

    ``extra_info`` is created where it is missing or null, and an older ``sparft`` is replaced.

    Parameters
    ----------
    table : pyarrow.Table
        m rows in the order of the reduction.
    reduction : Reduction
        Ids, arms and difficulties of the m rows.

    Returns
    -------
    pyarrow.Table
        The same columns, with types and order kept.

    Raises
    ------
    SparftError
        If ``extra_info`` is no struct.
    """
    names = table.column_names
    old = table["extra_info"] if "extra_info" in names else None
    if old is not None and not (pa.types.is_struct(old.type) or pa.types.is_null(old.type)):
        raise SparftError(
            f"the column 'extra_info' is a {old.type}; make it a struct, or rename it."
        )
    column = _with_sparft(old, _sparft_array(reduction))
    metadata = _metadata(table.schema.metadata)
    if old is None:
        return table.append_column("extra_info", column).replace_schema_metadata(metadata)
    place = names.index("extra_info")
    field = table.schema.field(place).with_type(column.type)
    return table.set_column(place, field, column).replace_schema_metadata(metadata)


def _sparft_array(reduction: Reduction) -> Any:
    unknown = np.isnan(reduction.difficulties)
    columns = [
        pa.array(reduction.ids, pa.string()),
        pa.array(reduction.arms, pa.int64()),
        pa.array(reduction.difficulties, pa.float64(), mask=unknown),
    ]
    return pa.StructArray.from_arrays(columns, fields=list(SPARFT_TYPE))


def _with_sparft(old: Any, sparft: Any) -> Any:
    fields, columns = [], []
    if old is not None and pa.types.is_struct(old.type):
        whole = old.combine_chunks()
        whole = whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
        # Flattening hands a null struct's nullness to its fields, so that no row stays null.
        for field, column in zip(whole.type, whole.flatten(), strict=True):
            if field.name != "sparft":
                fields.append(field.with_nullable(True) if whole.null_count else field)
                columns.append(column)
    fields.append(pa.field("sparft", SPARFT_TYPE))
    return pa.StructArray.from_arrays([*columns, sparft], fields=fields)


def _metadata(metadata: dict[bytes, bytes] | None) -> dict[bytes, bytes] | None:
    """Tell HuggingFace's note of the columns about the new field; other notes stay."""
    if not metadata or b"huggingface" not in metadata:
        return metadata
    note = json.loads(metadata[b"huggingface"])
    features = note.get("info", {}).get("features", {})
    extra = features.get("extra_info")
    is_struct = isinstance(extra, dict) and "_type" not in extra
    features["extra_info"] = (extra if is_struct else {}) | {"sparft": _FEATURE}
    return metadata | {b"huggingface": json.dumps(note).encode()}
