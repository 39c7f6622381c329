"""Measure every prompt of a table that the file does not know yet, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any, NamedTuple, Protocol

from sparft_plugin.angles.log import AngleLog, Measured
from sparft_plugin.angles.prefill import Angle, Tokens, TooLong
from sparft_plugin.corpus import Corpus
from sparft_plugin.difficulty.texts import Text, read_texts
from sparft_plugin.errors import SparftError
from sparft_plugin.prompts import PromptTable

BLOCK = 4096
REFUSAL = "angles are of text only; drop the row."


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
    corpus: Corpus,
    log: AngleLog,
    start: Callable[[], Model],
    *,
    batch: int = 16,
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
    texts = read_texts(prompts, corpus, log.angles, REFUSAL)
    for _, block in groupby(texts, key=lambda text: text.at // BLOCK):
        model = model or start()
        tasks, too_long = _tokenize(model, prompts, block)
        log.append(too_long)
        advance(len(too_long))
        for at in range(0, len(tasks), batch):
            part = tasks[at : at + batch]
            angles = model.angles([task.tokens for task in part])
            pairs = zip(part, angles, strict=True)
            log.append([Measured(t.id, t.row, angle, len(t.tokens.ids)) for t, angle in pairs])
            advance(len(part))


def _tokenize(
    model: Model, prompts: PromptTable, texts: Iterable[Text]
) -> tuple[list[_Task], list[Measured]]:
    """What is to be measured, shortest first, and what is too long for the model."""
    tasks: list[_Task] = []
    too_long: list[Measured] = []
    for text in texts:
        key, row = prompts.ids[text.at], int(prompts.rows[text.at])
        tokens = model.tokenize(text.messages, text.place)
        if isinstance(tokens, TooLong):
            too_long.append(Measured(key, row, tokens, tokens.tokens))
        else:
            tasks.append(_Task(key, row, tokens))
    return sorted(tasks, key=lambda task: len(task.tokens.ids)), too_long
