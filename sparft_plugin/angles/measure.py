"""Measure every prompt of a table that the file does not know yet, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.angles.log import AngleLog, Measured
from sparft_plugin.angles.prefill import Angle, Tokens, TooLong
from sparft_plugin.errors import SparftError
from sparft_plugin.prompts import PromptTable

BLOCK = 4096
MEDIA = ("images", "videos", "audios")
"""verl's columns of what a prompt shows besides its text."""


class Rows(Protocol):
    """The part of a corpus that is used here."""

    def take(self, rows: NDArray[np.int64]) -> Any:
        """Whole rows in verl's schema, as a ``pyarrow.Table``."""

    def place(self, row: int) -> Any:
        """Source of a row and its number there: ``file`` and ``row``."""


class Model(Protocol):
    """What ``Prefill`` does."""

    def tokenize(self, messages: list[dict[str, Any]], place: str) -> Tokens | TooLong:
        """One prompt's tokens, or that it does not fit."""

    def angles(self, batch: list[Tokens]) -> list[Angle]:
        """Angles of some prompts, in order."""


class _Task(NamedTuple):
    id: str
    row: int
    tokens: Tokens


def measure_angles(
    prompts: PromptTable,
    corpus: Rows,
    log: AngleLog,
    start: Callable[[], Model],
    *,
    batch: int = 16,
    prompt_key: str = "prompt",
    advance: Callable[[int], Any] = lambda prompts: None,
) -> None:
    """Measure every prompt that is not in the file, and write each batch to it.

    Inside blocks of 4096 prompts those of like length run together, so that little is padding.

    Parameters
    ----------
    prompts : PromptTable
        What to measure.
    corpus : Corpus
        The rows behind it.
    log : AngleLog
        What is finished, and where the rest goes.
    start : callable
        Makes the model; called only if there is something left to measure.
    batch : int >= 1, default 16
        Prompts in one forward pass.
    prompt_key : str, default "prompt"
        Column of chat messages.
    advance : callable, optional
        Called with the number of prompts that were just finished.

    Raises
    ------
    SparftError
        If a row has images or other media, or is refused by the model's chat template; what was
        finished before stays in the file.
    """
    if batch < 1:
        raise SparftError(f"batch must be an integer >= 1, not {batch}.")
    model: Model | None = None
    for first in range(0, len(prompts), BLOCK):
        block = range(first, min(first + BLOCK, len(prompts)))
        left = [i for i in block if prompts.ids[i] not in log.angles]
        if not left:
            continue
        if model is None:
            model = start()
        tasks: list[_Task] = []
        too_long: list[Measured] = []
        for i, messages, place in _read(prompts, corpus, left, prompt_key):
            key, row = prompts.ids[i], int(prompts.rows[i])
            tokens = model.tokenize(messages, place)
            if isinstance(tokens, TooLong):
                too_long.append(Measured(key, row, tokens, tokens.tokens))
            else:
                tasks.append(_Task(key, row, tokens))
        log.append(too_long)
        advance(len(too_long))
        tasks.sort(key=lambda task: len(task.tokens.ids))
        for at in range(0, len(tasks), batch):
            part = tasks[at : at + batch]
            angles = model.angles([task.tokens for task in part])
            pairs = zip(part, angles, strict=True)
            log.append([Measured(t.id, t.row, angle, len(t.tokens.ids)) for t, angle in pairs])
            advance(len(part))


def _read(
    prompts: PromptTable, corpus: Rows, left: list[int], prompt_key: str
) -> Iterator[tuple[int, list[dict[str, Any]], str]]:
    records = corpus.take(prompts.rows[np.array(left)]).to_pylist()
    for i, record in zip(left, records, strict=True):
        where = corpus.place(int(prompts.rows[i]))
        place = f"{where.file}, row {where.row}"
        for name in MEDIA:
            if record.get(name):
                raise SparftError(f"{place}, key '{name}': angles are of text only; drop the row.")
        yield i, [_message(message, place) for message in record[prompt_key]], place


def _message(message: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Without the nulls that parquet pads with, and with text parts joined to a string."""
    content = message["content"]
    if not isinstance(content, str):
        parts = [part if isinstance(part, str) else part.get("text") for part in content]
        if not all(isinstance(part, str) for part in parts):
            raise SparftError(f"{place}: angles are of text only; drop the row.")
        content = "".join(parts)
    return {k: v for k, v in message.items() if v is not None} | {"content": content}
