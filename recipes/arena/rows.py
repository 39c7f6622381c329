"""Rows of runs, as JSON lines that are only ever added to or dropped by name."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROWS = Path(__file__).resolve().parent / "rows.jsonl"


def key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a row is the row of: two of one key are the same run."""
    settings = tuple(sorted(row["settings"].items()))
    return row["suite"], row["pool"], row["arm"], row["seed"], settings


def read(path: Path) -> list[dict[str, Any]]:
    """Rows of a file; none if there is no file.

    Raises
    ------
    ValueError
        If a line is no row, or a run has two.
    """
    if not path.exists():
        return []
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ValueError(f"line {number} of {path} is no JSON; remove it.") from error
        if key(row) in found:
            raise ValueError(f"line {number} of {path} is a second row of a run; drop one.")
        found[key(row)] = row
    return list(found.values())


def without_torn_line(path: Path) -> None:
    """Cut off what a killed process left of its last line."""
    if path.exists():
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            _replace(path, whole.decode())


def drop(path: Path, wanted: Mapping[str, str], why: str) -> int:
    """Move the rows whose values match into ``dropped.jsonl`` beside them, each with the reason.

    Returns
    -------
    int
        How many they were.
    """
    kept, dropped = [], []
    for row in read(path):
        match = all(str(row[name]) == value for name, value in wanted.items())
        (dropped if match else kept).append(row)
    with (path.parent / "dropped.jsonl").open("a") as file:
        file.writelines(json.dumps({"why": why, **row}) + "\n" for row in dropped)
    _replace(path, "".join(json.dumps(row) + "\n" for row in kept))
    return len(dropped)


def _replace(path: Path, content: str) -> None:
    """Write a file whole or not at all."""
    fresh = path.with_suffix(".new")
    fresh.write_text(content)
    os.replace(fresh, path)
