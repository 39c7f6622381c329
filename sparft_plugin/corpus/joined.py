"""One schema for the rows of many sources, whatever source or row comes first."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

_OF_DATASETS = b"huggingface"
_PLAIN = {"Value", "List", "LargeList", "Sequence"}
"""Features of ``datasets`` that an arrow type tells as well."""


def joined(known: Any, found: Any) -> Any:
    """Schema, without notes, that the rows of two schemas fit in.

    Types that differ are promoted: null to any other, integers to fractions, structs to all their
    fields.

    Raises
    ------
    pyarrow.ArrowException
        If a column has no common type.
    """
    return pa.unify_schemas([known, found.remove_metadata()], promote_options="permissive")


def in_order(schema: Any) -> Any:
    """Schema with columns, and the fields of every struct in them, in the order of their names."""
    return pa.schema(list(_sorted(pa.struct(list(schema)))))


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


def shared_notes(schemas: Sequence[Any]) -> dict[bytes, bytes] | None:
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
