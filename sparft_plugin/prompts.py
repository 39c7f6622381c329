"""The prompt table: training rows read and validated, each with a stable id."""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.corpus import Columns, Corpus
from sparft_plugin.corpus.corpus import Row
from sparft_plugin.corpus.rows import (
    canonical_json,
    read_data_source,
    read_ground_truth,
    read_label,
    read_messages,
    read_user_text,
)
from sparft_plugin.corpus.spool import TextSpool
from sparft_plugin.errors import SparftError

NO_DIFFICULTY = "set difficulty_key=null (leave out --difficulty-key)"


def prompt_id(data_source: str, messages: Sequence[Mapping[str, Any]]) -> str:
    """Name a prompt by its content, so that the name survives re-ordering and re-sharding.

    It is 32 hex digits: 128-bit BLAKE2b of the canonical JSON of ``[data_source, messages]``. A
    field that is null counts as absent: parquet pads the structs of a list with nulls.

    Raises
    ------
    SparftError
        If a message holds something that JSON cannot hold.
    """
    return digest(canonical_json([data_source, messages]))


def digest(text: str) -> str:
    """32 hex digits: 128-bit BLAKE2b of a text's UTF-8 bytes."""
    return _hash(text).hexdigest()


def _hash(text: str) -> hashlib.blake2b:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16)


@dataclass(frozen=True, eq=False)
class PromptTable:
    """Unique, valid prompts of one training set, in source order.

    Build one with ``from_corpus``, ``from_parquet`` or ``from_rows``. Rows count from 0. The same
    prompt with the same ground truth is kept once, at its first row, with the mean of its labels.
    Texts lie on disk: memory holds about 300 bytes a prompt, whatever its length.
    """

    source: str
    """Name of the data, for messages and manifests."""
    rows: NDArray[np.int64]
    """Row of each prompt in its source, shape (n,), increasing."""
    ids: tuple[str, ...]
    """``prompt_id`` of each prompt, n distinct ids."""
    texts: TextSpool
    """Text of each prompt: its user messages, or the plain string before it met a template."""
    labels: Mapping[str, NDArray[np.float64]]
    """Difficulty labels by column, on the scale of the data, shape (n,) each; NaN if not known."""
    others: Mapping[int, tuple[int, ...]]
    """Later rows of the same prompt, by the position of the prompt in this table."""
    fingerprint: str
    """32 hex digits over ids, ground truths and labels; the same for every order of the rows."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def duplicates(self) -> int:
        """Rows left out because an earlier row holds the same prompt."""
        return sum(map(len, self.others.values()))

    @classmethod
    def from_corpus(
        cls, corpus: Corpus, *, label_keys: Sequence[str] = (), complete: bool = True
    ) -> PromptTable:
        """Read through a corpus once; what cannot be read or used is a SparftError.

        Parameters
        ----------
        corpus : Corpus
            Its columns say where prompt, answer and data source stand.
        label_keys : sequence of str
            Columns of difficulty labels, possibly dotted: ``extra_info.difficulty``.
        complete : bool, default True
            Refuse a row without a label; otherwise its label is NaN.
        """
        reading, prompt_key = _Reading(tuple(label_keys), complete), corpus.columns.needed()[0]
        for number, row in enumerate(corpus.scan(label_keys)):
            reading.add(number, row, corpus, prompt_key)
        return reading.table(corpus.name)

    @classmethod
    def from_parquet(
        cls,
        paths: str | PathLike[str] | Sequence[str | PathLike[str]],
        *,
        prompt_key: str = "prompt",
        difficulty_key: str | None = None,
    ) -> PromptTable:
        """Read one or more parquet files in verl's schema; rows count through all files.

        ``prompt_key`` is a column of chat messages, ``difficulty_key`` one of labels, possibly
        dotted: ``extra_info.difficulty``.
        """
        files = [paths] if isinstance(paths, (str, PathLike)) else list(paths)
        corpus = Corpus.open([Path(file) for file in files], Columns(prompt_key, template=None))
        return cls.from_corpus(corpus, label_keys=_keys(difficulty_key))

    @classmethod
    def from_rows(
        cls,
        rows: Sequence[Mapping[str, Any]],
        *,
        source: str,
        prompt_key: str = "prompt",
        difficulty_key: str | None = None,
    ) -> PromptTable:
        """Read rows that are already in memory, as ``from_parquet`` does; ``source`` names them."""
        corpus = Corpus.of_rows(rows, source, Columns(prompt_key, template=None))
        return cls.from_corpus(corpus, label_keys=_keys(difficulty_key))


def _keys(key: str | None) -> tuple[str, ...]:
    return () if key is None else (key,)


class _Reading:
    """The prompts of the rows that were read so far."""

    def __init__(self, label_keys: Sequence[str], complete: bool) -> None:
        self.label_keys, self.complete = label_keys, complete
        self.position: dict[bytes, int] = {}
        self.rows, self.texts = array("q"), TextSpool()
        self.truths: list[bytes] = []
        self.labels: dict[str, dict[int, list[float]]] = {key: {} for key in label_keys}
        self.others: dict[int, list[int]] = {}

    def add(self, number: int, row: Row, corpus: Corpus, key: str) -> None:
        """Check one row; a prompt that was seen before adds its labels only."""
        place = row.place
        messages = read_messages(row.prompt, place, key)
        text = read_user_text(messages, place, key)
        data_source = read_data_source(row.data_source, place)
        truth = _hash(read_ground_truth(row.reward_model, place)).digest()
        try:
            identity = bytes.fromhex(prompt_id(data_source, messages))
        except SparftError as error:
            raise place.error(key, str(error)) from error
        at = self.position.setdefault(identity, len(self.rows))
        if at == len(self.rows):
            self.rows.append(number)
            self.truths.append(truth)
            self.texts.append(text if row.text is None else row.text)
        else:
            self.others.setdefault(at, []).append(number)
        if self.truths[at] != truth:
            first = corpus.place(self.rows[at])
            raise place.error(
                "reward_model.ground_truth",
                f"the same prompt stands in {first.file}, row {first.row} with another ground "
                "truth; correct one of the two or remove it.",
            )
        for name, value in zip(self.label_keys, row.labels, strict=True):
            if value is not None or self.complete:
                self.labels[name].setdefault(at, []).append(read_label(value, place, name))

    def table(self, source: str) -> PromptTable:
        """Put what was read together."""
        labels = {key: self._means(found) for key, found in self.labels.items()}
        for key, values in labels.items():
            _check_varied(values, source, key)
        return PromptTable(
            source=source,
            rows=np.array(self.rows, dtype=np.int64),
            ids=tuple(identity.hex() for identity in self.position),
            texts=self.texts,
            labels=labels,
            others={at: tuple(rows) for at, rows in self.others.items()},
            fingerprint=self._fingerprint(labels),
        )

    def _means(self, found: Mapping[int, Sequence[float]]) -> NDArray[np.float64]:
        values = np.full(len(self.rows), np.nan)
        for at, known in found.items():
            values[at] = math.fsum(known) / len(known)
        return values

    def _fingerprint(self, labels: Mapping[str, NDArray[np.float64]]) -> str:
        """A sum has no order, so no sorted copy is needed."""
        total = 0
        for at, (identity, truth) in enumerate(zip(self.position, self.truths, strict=True)):
            known = [None if math.isnan(v[at]) else float(v[at]) for v in labels.values()]
            line = (
                f'["{identity.hex()}","{truth.hex()}",{canonical_json(known) if known else "[]"}]'
            )
            total += int.from_bytes(_hash(line).digest(), "big")
        return digest(canonical_json([str(total), len(self.position), list(labels)]))


def _check_varied(labels: NDArray[np.float64], source: str, key: str) -> None:
    known = labels[~np.isnan(labels)]
    if not len(known):
        raise SparftError(f"{source}, key '{key}': no row has a label; {NO_DIFFICULTY}.")
    low, high = float(known.min()), float(known.max())
    if low == high and (len(known) > 1 or not 0.0 <= low <= 1.0):
        raise SparftError(
            f"{source}, key '{key}': the difficulty is {low:g} in every row and tells nothing; "
            f"{NO_DIFFICULTY}."
        )
    if not math.isfinite(high - low):
        raise SparftError(f"{source}, key '{key}': {low:g} to {high:g} is too wide; rescale it.")
