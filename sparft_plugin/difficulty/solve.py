"""Attempt every prompt of a table that the log does not know yet, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from sparft_plugin.corpus import Corpus
from sparft_plugin.difficulty.attempts import Attempted, AttemptLog
from sparft_plugin.difficulty.engine import Generator, Request, Response, TooLong
from sparft_plugin.difficulty.sampling import prompt_seed
from sparft_plugin.difficulty.texts import Text, read_texts
from sparft_plugin.difficulty.verifier import Verdict, Verifier
from sparft_plugin.errors import SparftError
from sparft_plugin.prompts import PromptTable

REFUSAL = (
    "only text can be attempted here; log rollouts of a training (trainer.rollout_data_dir) and "
    "give reduce --difficulty rollouts:DIR."
)


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
    corpus: Corpus,
    log: AttemptLog,
    verifier: Verifier,
    start: Callable[[], Generator],
    *,
    batch: int = 128,
    seed: int = 0,
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
        for tasks in read_tasks(prompts, corpus, log.done, batch):
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
    prompts: PromptTable, corpus: Corpus, done: Container[str], batch: int
) -> Iterator[list[Task]]:
    """Cut the table into batches and read what is not done of each.

    Parameters
    ----------
    prompts, corpus
        The table and its rows, which are read through once.
    done : container of str
        Ids to leave out.
    batch : int >= 1
        Prompts in a batch, done ones included; batches with none left are skipped.

    Raises
    ------
    SparftError
        If a row has images or other media.
    """
    texts = read_texts(prompts, corpus, done, REFUSAL)
    for _, together in groupby(texts, key=lambda text: text.at // batch):
        yield [_task(prompts, text) for text in together]


def _task(prompts: PromptTable, text: Text) -> Task:
    return Task(
        prompts.ids[text.at],
        int(prompts.rows[text.at]),
        text.place,
        text.messages,
        text.row.data_source,
        text.row.reward_model["ground_truth"],
        text.row.beside["extra_info"] or {},
    )


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
