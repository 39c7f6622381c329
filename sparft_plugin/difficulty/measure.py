"""The loop of ``sparft difficulty`` and ``sparft angles``: measure what the log does not know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple, Protocol

from sparft_plugin.corpus import Corpus
from sparft_plugin.corpus.corpus import Row
from sparft_plugin.difficulty.log import MeasurementLog
from sparft_plugin.errors import SparftError
from sparft_plugin.options import check_whole
from sparft_plugin.prompts import PromptTable

MEDIA = ("images", "videos", "audios")
"""verl's columns of what a prompt shows besides its text."""


class Task(NamedTuple):
    """One prompt of text: its row in the corpus, and file and row for messages."""

    id: str
    row: int
    place: str
    messages: list[dict[str, Any]]
    """Chat messages whose contents are strings."""
    data_source: str
    ground_truth: Any
    extra_info: Mapping[str, Any]


class Tokens(NamedTuple):
    """A prompt as the model reads it; ``ids[start:stop]`` is its question, where that matters."""

    ids: list[int]
    start: int = 0
    stop: int = 0


class Model(Protocol):
    """What the loop needs of a model."""

    longest: float
    """Tokens of the longest prompt that fits."""

    def tokenize(self, messages: Sequence[Mapping[str, Any]], place: str) -> Tokens:
        """Template and tokenize one prompt."""

    def close(self) -> None:
        """Give back what the model holds; it is not used after that."""


Batch = Sequence[tuple[Task, Tokens]]
Records = Sequence[Mapping[str, Any]]


def measure_all(
    prompts: PromptTable,
    corpus: Corpus,
    log: MeasurementLog,
    start: Callable[[list[Task]], Model],
    run: Callable[[Any, Batch], Iterable[Records]],
    *,
    batch: int,
    block: int | None = None,
    advance: Callable[[int], Any],
) -> None:
    """Run every prompt that the log does not know through a model, and log each batch.

    Blocks, by default of a batch each, are cut from the whole table, so that what is together does
    not depend on what was finished before. ``start`` makes the model and is given the first block
    that has something left; ``run`` gives the records of each prompt of a batch, and what it gave
    before an error is logged. ``advance`` is called with the number of prompts that were finished.
    """
    check_whole("batch", batch, 1)
    block = block or batch
    model: Model | None = None
    try:
        for tasks in read_tasks(prompts, corpus, log, block):
            model = model or start(tasks)
            read = [(task, model.tokenize(task.messages, task.place)) for task in tasks]
            fitting = [(task, tokens) for task, tokens in read if len(tokens.ids) <= model.longest]
            too_long = [(task, tokens) for task, tokens in read if len(tokens.ids) > model.longest]
            log.append([_record(task, {"too_long": len(tokens.ids)}) for task, tokens in too_long])
            advance(len(too_long))
            if block > batch:
                # Those of like length run together, so that little is padding.
                fitting.sort(key=lambda pair: len(pair[1].ids))
            for at in range(0, len(fitting), batch):
                part = fitting[at : at + batch]
                finished: list[Mapping[str, Any]] = []
                try:
                    for (task, _), records in zip(part, run(model, part), strict=True):
                        finished += [_record(task, record) for record in records]
                finally:
                    log.append(finished)
                advance(len(part))
    finally:
        if model is not None:
            model.close()


def _record(task: Task, record: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"id": task.id, "row": task.row, **record}


def read_tasks(
    prompts: PromptTable, corpus: Corpus, log: MeasurementLog, block: int
) -> Iterator[list[Task]]:
    """Cut the table into blocks and read what is not done of each, in one pass over the rows.

    Blocks with none left are skipped. A row with images or other media is refused.
    """
    left = [at for at, key in enumerate(prompts.ids) if key not in log.done]
    rows = zip(left, rows_of(prompts, corpus, left, ("extra_info", *MEDIA)), strict=True)
    for _, together in groupby(rows, key=lambda pair: pair[0] // block):
        yield [_task(prompts, corpus, at, row, log.refusal) for at, row in together]


def rows_of(
    prompts: PromptTable, corpus: Corpus, places: Iterable[int], beside: Sequence[str] = ()
) -> Iterator[Row]:
    """Read the rows at some increasing places of the table, in one pass over the corpus."""
    numbered = enumerate(corpus.scan(beside=beside))
    for at in places:
        wanted = int(prompts.rows[at])
        row = next((row for number, row in numbered if number == wanted), None)
        if row is None:
            raise SparftError(f"{corpus.name} has lost its row {wanted} since it was read.")
        yield row


def apply_template(
    tokenizer: Any, messages: Sequence[Mapping[str, Any]], place: str, **options: Any
) -> Any:
    """Apply a model's chat template as verl's agent loop does in training."""
    from jinja2 import TemplateError

    try:
        return tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, **options)
    except (TemplateError, TypeError, ValueError) as error:
        raise SparftError(
            f"{place}: the model's chat template refuses the prompt ({first_line(error)}); drop "
            "the row or choose another model."
        ) from error


def first_line(error: Exception) -> str:
    """First line of what an error says; its type if it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _task(prompts: PromptTable, corpus: Corpus, at: int, row: Row, refusal: str) -> Task:
    for key in MEDIA:
        if row.beside[key]:
            raise row.place.error(key, refusal)
    messages = []
    for message in row.prompt:
        content = message["content"]
        parts = [content] if isinstance(content, str) else content
        texts = [part if isinstance(part, str) else part.get("text") for part in parts]
        if not all(isinstance(text, str) for text in texts):
            raise row.place.error(corpus.columns.prompt_key, refusal)
        # Without the nulls that parquet pads with.
        known = {key: value for key, value in message.items() if value is not None}
        messages.append({**known, "content": "".join(texts)})
    return Task(
        prompts.ids[at],
        int(prompts.rows[at]),
        f"{row.place.file}, row {row.place.row}",
        messages,
        row.data_source,
        row.reward_model["ground_truth"],
        row.beside["extra_info"] or {},
    )
