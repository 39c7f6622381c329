"""Rows of a corpus as chat messages of text, read in one pass."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sparft_plugin.corpus import Corpus
from sparft_plugin.corpus.corpus import Row
from sparft_plugin.errors import SparftError
from sparft_plugin.prompts import PromptTable

MEDIA = ("images", "videos", "audios")
"""verl's columns of what a prompt shows besides its text."""


class Text(NamedTuple):
    """One row of text."""

    at: int
    """Its place in the table of prompts."""
    place: str
    """File and row, for messages."""
    messages: list[dict[str, Any]]
    """Chat messages whose contents are strings."""
    row: Row
    """The row, with ``extra_info`` beside it."""


def rows_of(
    prompts: PromptTable, corpus: Corpus, places: Sequence[int], beside: Sequence[str] = ()
) -> Iterator[Row]:
    """Read the rows of some prompts, reading through the corpus once.

    Parameters
    ----------
    prompts, corpus
        The table and its rows.
    places : sequence of int
        Places in the table, increasing.
    beside : sequence of str
        Further columns, null where a source has none of the name.

    Raises
    ------
    SparftError
        If the corpus has lost rows since the table was read.
    """
    numbered = enumerate(corpus.scan(beside=beside))
    for at in places:
        wanted = int(prompts.rows[at])
        row = next((row for number, row in numbered if number == wanted), None)
        if row is None:
            raise SparftError(f"{corpus.name} has lost its row {wanted} since it was read.")
        yield row


def read_texts(
    prompts: PromptTable, corpus: Corpus, done: Container[str], refusal: str
) -> Iterator[Text]:
    """Read the prompts that are not done yet, in the order of the table.

    Parameters
    ----------
    prompts, corpus
        The table and its rows.
    done : container of str
        Ids to leave out.
    refusal : str
        Why a row with images or other media is refused, and the mend.

    Raises
    ------
    SparftError
        If a row has such.
    """
    left = [at for at, key in enumerate(prompts.ids) if key not in done]
    for at, row in zip(left, rows_of(prompts, corpus, left, ("extra_info", *MEDIA)), strict=True):
        for key in MEDIA:
            if row.beside[key]:
                raise row.place.error(key, refusal)
        if not all(map(_is_text, row.prompt)):
            raise row.place.error(corpus.columns.prompt_key, refusal)
        place = f"{row.place.file}, row {row.place.row}"
        yield Text(at, place, [_message(message) for message in row.prompt], row)


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
