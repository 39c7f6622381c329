"""The prompt table: training rows read and validated, each with a stable id."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparft_plugin._prompt_columns import read_parquet_columns, read_row_columns
from sparft_plugin._prompt_rows import (
    Place,
    canonical_json,
    read_data_source,
    read_ground_truth,
    read_label,
    read_messages,
    read_user_text,
)
from sparft_plugin.errors import SparftError

NO_DIFFICULTY = "set difficulty_key=null (leave out --difficulty-key)"


def prompt_id(data_source: str, messages: Sequence[Mapping[str, Any]]) -> str:
    """Name a prompt by its content, so that the name survives re-ordering and re-sharding.

    A field that is null counts as absent: parquet pads the structs of a list with nulls.

    Parameters
    ----------
    data_source : str
        The row's ``data_source``.
    messages : sequence of mapping
        The row's chat messages.

    Returns
    -------
    str
        32 hex digits: 128-bit BLAKE2b of the canonical JSON of ``[data_source, messages]``.

    Raises
    ------
    SparftError
        If a message holds something that JSON cannot hold.
    """
    return digest(canonical_json([data_source, messages]))


def digest(text: str) -> str:
    """32 hex digits: 128-bit BLAKE2b of a text's UTF-8 bytes."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def columns_needed(prompt_key: str = "prompt", difficulty_key: str | None = None) -> list[str]:
    """Names of the columns that a prompt table reads, in the order it reads them."""
    names = [prompt_key, "data_source", "reward_model"]
    return names if difficulty_key is None else [*names, difficulty_key]


@dataclass(frozen=True, eq=False)
class PromptTable:
    """Unique, valid prompts of one training set, in source order.

    Build one with ``from_parquet`` or ``from_rows``. Rows count from 0. The same
    prompt with the same ground truth is kept once, at its first row, with the mean of its labels.
    """

    source: str
    """Name of the data, for messages and manifests."""
    rows: NDArray[np.int64]
    """Row of each prompt in its source, shape (n,), increasing."""
    ids: tuple[str, ...]
    """``prompt_id`` of each prompt, n distinct ids."""
    texts: tuple[str, ...]
    """Text of each prompt's user messages."""
    labels: NDArray[np.float64] | None
    """Difficulty of each prompt on the scale of the data, shape (n,); None if none was named."""
    duplicates: int
    """Rows left out because an earlier row holds the same prompt."""
    fingerprint: str
    """32 hex digits over ids, ground truths and labels; the same for every order of the rows."""
    difficulty_key: str | None = None
    """Name of the column that the labels come from."""

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def difficulty_range(self) -> tuple[float, float] | None:
        """Labels (lo, hi) that stand for difficulty 0 and 1; (0, 1) if all labels lie within."""
        if self.labels is None:
            return None
        low, high = float(self.labels.min()), float(self.labels.max())
        return (0.0, 1.0) if low >= 0.0 and high <= 1.0 else (low, high)

    @cached_property
    def difficulties(self) -> NDArray[np.float64] | None:
        """Difficulty of each prompt in [0, 1], 0 = always solved, shape (n,); None without labels.

        Labels within [0, 1] are taken as they are; other scales are min-max mapped.
        """
        if self.labels is None or self.difficulty_range is None:
            return None
        low, high = self.difficulty_range
        mapped: NDArray[np.float64] = (self.labels - low) / (high - low)
        return mapped

    @classmethod
    def from_parquet(
        cls,
        paths: str | PathLike[str] | Sequence[str | PathLike[str]],
        *,
        prompt_key: str = "prompt",
        difficulty_key: str | None = None,
    ) -> PromptTable:
        """Read one or more parquet files in verl's schema; rows count through all files.

        Parameters
        ----------
        paths : path or sequence of paths
            Files with the columns ``prompt_key``, ``data_source`` and ``reward_model``.
        prompt_key : str, default "prompt"
            Column of chat messages.
        difficulty_key : str, optional
            Column of difficulty labels, possibly dotted: ``extra_info.difficulty``.

        Raises
        ------
        SparftError
            If a file cannot be read, a column is missing or a row is invalid.
        """
        files = [paths] if isinstance(paths, (str, PathLike)) else list(paths)
        if not files:
            raise SparftError("no parquet file was given; name at least one.")
        names = columns_needed(prompt_key, difficulty_key)
        tables = [read_parquet_columns(Path(file), names) for file in files]
        places = (
            Place(str(file), row)
            for file, table in zip(files, tables, strict=True)
            for row in range(len(table[0]))
        )
        columns = [[value for table in tables for value in table[i]] for i in range(len(names))]
        source = ", ".join(Path(file).name for file in files)
        return _build(columns, places, source, prompt_key, difficulty_key)

    @classmethod
    def from_rows(
        cls,
        rows: Iterable[Mapping[str, Any]],
        *,
        source: str,
        prompt_key: str = "prompt",
        difficulty_key: str | None = None,
    ) -> PromptTable:
        """Read rows that are already in memory.

        Parameters
        ----------
        rows : iterable of mapping
            Rows with ``prompt_key``, ``data_source`` and ``reward_model``.
        source : str
            Name of the data, for messages and manifests.
        prompt_key, difficulty_key
            As in ``from_parquet``.

        Raises
        ------
        SparftError
            If a column is missing or a row is invalid.
        """
        rows = list(rows)
        names = columns_needed(prompt_key, difficulty_key)
        columns = read_row_columns(rows, names, source)
        places = (Place(source, row) for row in range(len(rows)))
        return _build(columns, places, source, prompt_key, difficulty_key)


class _First(NamedTuple):
    """What is kept of a prompt when its first row is read."""

    place: Place
    row: int
    text: str
    truth: str
    labels: list[float]


def _build(
    columns: Sequence[Sequence[Any]],
    places: Iterator[Place],
    source: str,
    prompt_key: str,
    difficulty_key: str | None,
) -> PromptTable:
    if not columns[0]:
        raise SparftError(f"{source} has no rows; give at least one prompt.")
    found: dict[str, _First] = {}
    for row, (place, values) in enumerate(zip(places, zip(*columns, strict=True), strict=True)):
        messages = read_messages(values[0], place, prompt_key)
        text = read_user_text(messages, place, prompt_key)
        data_source = read_data_source(values[1], place)
        truth = read_ground_truth(values[2], place)
        labels = [] if difficulty_key is None else [read_label(values[3], place, difficulty_key)]
        key = _identify(data_source, messages, place, prompt_key)
        first = found.setdefault(key, _First(place, row, text, truth, labels))
        if first.truth != truth:
            raise place.error(
                "reward_model.ground_truth",
                f"the same prompt stands in {first.place.file}, row {first.place.row} with another "
                "ground truth; correct one of the two or remove it.",
            )
        if first.row != row:
            first.labels.extend(labels)
    return _assemble(found, len(columns[0]), source, difficulty_key)


def _identify(
    data_source: str, messages: Sequence[Mapping[str, Any]], place: Place, key: str
) -> str:
    try:
        return prompt_id(data_source, messages)
    except SparftError as error:
        raise place.error(key, str(error)) from error


def _assemble(
    found: Mapping[str, _First], total: int, source: str, difficulty_key: str | None
) -> PromptTable:
    labels = None
    if difficulty_key is not None:
        means = [math.fsum(f.labels) / len(f.labels) for f in found.values()]
        labels = np.array(means, dtype=np.float64)
        _check_varied(labels, source, difficulty_key)
    lines = sorted(
        canonical_json([key, first.truth, None if labels is None else float(labels[i])])
        for i, (key, first) in enumerate(found.items())
    )
    return PromptTable(
        source=source,
        rows=np.array([first.row for first in found.values()], dtype=np.int64),
        ids=tuple(found),
        texts=tuple(first.text for first in found.values()),
        labels=labels,
        duplicates=total - len(found),
        fingerprint=digest("\n".join(lines)),
        difficulty_key=difficulty_key,
    )


def _check_varied(labels: NDArray[np.float64], source: str, key: str) -> None:
    low, high = float(labels.min()), float(labels.max())
    if low == high and (len(labels) > 1 or not 0.0 <= low <= 1.0):
        raise SparftError(
            f"{source}, key '{key}': the difficulty is {low:g} in every row and tells nothing; "
            f"{NO_DIFFICULTY}."
        )
    if not math.isfinite(high - low):
        raise SparftError(f"{source}, key '{key}': {low:g} to {high:g} is too wide; rescale it.")
