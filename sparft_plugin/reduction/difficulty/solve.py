"""Attempt every prompt of a table that the log does not know yet, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError
from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction.difficulty.attempts import Attempted, AttemptLog
from sparft_plugin.reduction.difficulty.engine import Generator, Request, Response, TooLong
from sparft_plugin.reduction.difficulty.sampling import prompt_seed
from sparft_plugin.reduction.difficulty.verifier import Verdict, Verifier

BLOCK = 4096
MEDIA = ("images", "videos", "audios")
"""verl's columns of what a prompt shows besides its text."""


class Rows(Protocol):
    """The part of a corpus that is used here."""

    def take(self, rows: NDArray[np.int64]) -> Any:
        """Whole rows in verl's schema, as a ``pyarrow.Table``."""

    def place(self, row: int) -> Any:
        """Source of a row and its number there: ``file`` and ``row``."""


class Task(NamedTuple):
    """One prompt with all that is needed to attempt and judge it."""

    id: str
    row: int
    place: str
    messages: list[dict[str, Any]]
    data_source: str
    ground_truth: Any
    extra_info: Mapping[str, Any]


def measure(
    prompts: PromptTable,
    corpus: Rows,
    log: AttemptLog,
    verifier: Verifier,
    start: Callable[[], Generator],
    *,
    batch: int = 128,
    seed: int = 0,
    prompt_key: str = "prompt",
    advance: Callable[[int], Any] = lambda prompts: None,
) -> None:
    """Attempt and judge every prompt that is not in the log, and write each batch to it.

    A prompt's samples do not depend on what was finished before: batches are cut from the whole
    table, and each prompt has its own seed.

    Parameters
    ----------
    prompts : PromptTable
        What to attempt.
    corpus : Corpus
        The rows behind it.
    log : AttemptLog
        What is finished, and where the rest goes.
    verifier : Verifier
        Judges each response. It first judges an empty one for every data source of the first
        batch, so that a verifier that cannot work fails before the model is loaded.
    start : callable
        Makes the generator; called only if there is something left to attempt.
    batch : int >= 1, default 128
        Prompts that are generated, judged and logged together.
    seed : int, default 0
        Seed of all samples.
    prompt_key : str, default "prompt"
        Column of chat messages.
    advance : callable, optional
        Called with the number of prompts that were just finished.

    Raises
    ------
    SparftError
        If a row has images or other media, is refused by the model's chat template or breaks the
        verifier; what was finished before stays in the log.
    """
    if batch < 1:
        raise SparftError(f"batch must be an integer >= 1, not {batch}.")
    generator: Generator | None = None
    try:
        for tasks in read_tasks(prompts, corpus, log.done, batch, prompt_key):
            if generator is None:
                _probe(tasks, verifier)
                generator = start()
            requests = [Request(t.place, t.messages, prompt_seed(seed, t.id)) for t in tasks]
            answers = generator.generate(requests)
            advance(_judge_all(tasks, answers, verifier, log))
    finally:
        if generator is not None:
            generator.close()


def read_tasks(
    prompts: PromptTable, corpus: Rows, done: set[str], batch: int, prompt_key: str = "prompt"
) -> Iterator[list[Task]]:
    """Cut the table into batches and read what is not done of each.

    Parameters
    ----------
    prompts, corpus
        The table and its rows.
    done : set of str
        Ids to leave out.
    batch : int >= 1
        Prompts in a batch, done ones included; batches with none left are skipped.
    prompt_key : str, default "prompt"
        Column of chat messages.

    Raises
    ------
    SparftError
        If a row has images or other media.
    """
    step = max(1, BLOCK // batch) * batch
    for first in range(0, len(prompts), step):
        block = range(first, min(first + step, len(prompts)))
        left = [i for i in block if prompts.ids[i] not in done]
        if not left:
            continue
        records = corpus.take(prompts.rows[np.array(left)]).to_pylist()
        tasks: dict[int, list[Task]] = {}
        for i, record in zip(left, records, strict=True):
            task = _task(prompts.ids[i], int(prompts.rows[i]), record, corpus, prompt_key)
            tasks.setdefault(i // batch, []).append(task)
        yield from tasks.values()


def _task(key: str, row: int, record: dict[str, Any], corpus: Rows, prompt_key: str) -> Task:
    where = corpus.place(row)
    place = f"{where.file}, row {where.row}"
    for name in MEDIA:
        if record.get(name):
            raise _not_text(place, name)
    for message in record[prompt_key]:
        if not isinstance(message["content"], str) and not all(map(_is_text, message["content"])):
            raise _not_text(place, prompt_key)
    return Task(
        key,
        row,
        place,
        [_message(message) for message in record[prompt_key]],
        record["data_source"],
        record["reward_model"]["ground_truth"],
        record.get("extra_info") or {},
    )


def _is_text(part: Any) -> bool:
    return isinstance(part, str) or isinstance(part.get("text"), str)


def _not_text(place: str, key: str) -> SparftError:
    return SparftError(
        f"{place}, key '{key}': only text can be attempted here; log rollouts of a training "
        "(trainer.rollout_data_dir) and give reduce --difficulty rollouts:DIR."
    )


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    """Without the nulls that parquet pads with, and with text parts joined to a string."""
    content = message["content"]
    if not isinstance(content, str):
        content = "".join(part if isinstance(part, str) else part["text"] for part in content)
    return {k: v for k, v in message.items() if v is not None} | {"content": content}


def _judge_all(
    tasks: Sequence[Task],
    answers: Sequence[list[Response] | TooLong],
    verifier: Verifier,
    log: AttemptLog,
) -> int:
    """Judge and log a batch; how many prompts it was."""
    finished: list[Attempted] = []
    try:
        for task, answer in zip(tasks, answers, strict=True):
            if isinstance(answer, TooLong):
                finished.append(Attempted(task.id, task.row, [], answer.tokens))
                continue
            judged = [(response, _judge(task, response.text, verifier)) for response in answer]
            finished.append(Attempted(task.id, task.row, judged))
    finally:
        # A row that breaks the verifier must not cost the rows before it.
        log.append(finished)
    return len(finished)


def _judge(task: Task, response: str, verifier: Verifier) -> Verdict:
    try:
        return verifier.judge(task.data_source, response, task.ground_truth, task.extra_info)
    except SparftError as error:
        raise SparftError(f"{task.place}: {error}") from error


def _probe(tasks: Sequence[Task], verifier: Verifier) -> None:
    for task in {task.data_source: task for task in reversed(tasks)}.values():
        _judge(task, "", verifier)
