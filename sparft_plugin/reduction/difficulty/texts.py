"""Rows of a corpus as chat messages of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError
from sparft_plugin.prompts import PromptTable

MEDIA = ("images", "videos", "audios")
"""verl's columns of what a prompt shows besides its text."""


class Rows(Protocol):
    """The part of a corpus that is used here."""

    def take(self, rows: NDArray[np.int64]) -> Any:
        """Whole rows in verl's schema, as a ``pyarrow.Table``."""

    def place(self, row: int) -> Any:
        """Source of a row and its number there: ``file`` and ``row``."""


class Text(NamedTuple):
    """One row of text."""

    at: int
    """Its place in the table of prompts."""
    place: str
    """File and row, for messages."""
    messages: list[dict[str, Any]]
    """Chat messages whose contents are strings."""
    record: dict[str, Any]
    """The whole row."""


def read_texts(
    prompts: PromptTable, corpus: Rows, wanted: Sequence[int], prompt_key: str, refusal: str
) -> Iterator[Text]:
    """Read some rows.

    Parameters
    ----------
    prompts, corpus
        The table and its rows.
    wanted : sequence of int
        Places in the table.
    prompt_key : str
        Column of chat messages.
    refusal : str
        Why a row with images or other media is refused, and the mend.

    Raises
    ------
    SparftError
        If a row has such.
    """
    records = corpus.take(prompts.rows[np.array(wanted)]).to_pylist()
    for i, record in zip(wanted, records, strict=True):
        where = corpus.place(int(prompts.rows[i]))
        place = f"{where.file}, row {where.row}"
        for key in MEDIA:
            if record.get(key):
                raise SparftError(f"{place}, key '{key}': {refusal}")
        if not all(map(_is_text, record[prompt_key])):
            raise SparftError(f"{place}, key '{prompt_key}': {refusal}")
        yield Text(i, place, [_message(message) for message in record[prompt_key]], record)


def _is_text(message: Mapping[str, Any]) -> bool:
    content = message["content"]
    return isinstance(content, str) or all(
        isinstance(part, str) or isinstance(part.get("text"), str) for part in content
    )


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    """Without the nulls that parquet pads with, and with text parts joined to a string."""
    content = message["content"]
    if not isinstance(content, str):
        content = "".join(part if isinstance(part, str) else part["text"] for part in content)
    return {k: v for k, v in message.items() if v is not None} | {"content": content}
