"""Difficulty and reward curves from the rollouts that a verl run logged."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.corpus.rows import canonical_json
from sparft_plugin.difficulty.text_index import TextIndex, normalize
from sparft_plugin.difficulty.verifier import (
    SOLVED_ABOVE,
    Verdict,
    read_verdict,
    solved,
)
from sparft_plugin.errors import SparftError

HOW = "log them with trainer.rollout_data_dir=DIR."


@dataclass(frozen=True, eq=False)
class RolloutHistory:
    """What a run logged about each of n prompts."""

    solve_rates: NDArray[np.float64]
    """Mean accuracy over all rollouts of the run, shape (n,), in [0, 1]; NaN without any."""
    attempts: NDArray[np.int64]
    """Rollouts of each prompt, shape (n,)."""
    curves: NDArray[np.float64]
    """Solve rate at each visit, shape (n, visits): column k is the prompt's visit k + 1, one visit
    for each step that holds it, in the order of the steps; NaN after its last visit."""
    joined: int
    """Lines that belong to one prompt."""
    unmatched: int
    """Lines whose input holds no prompt, or whose ``prompt_id`` is unknown."""
    ambiguous: int
    """Lines that fit more than one prompt equally well."""
    other_truth: int
    """Lines that fit a prompt's text but were judged by another ground truth."""


class JoinKeys(NamedTuple):
    """What rollouts are joined to n prompts by."""

    ids: Sequence[str]
    texts: Sequence[str]
    """Text of each prompt's last user message, or a part of it."""
    truths: Sequence[str]
    """Canonical JSON of each prompt's ground truth."""


class Line(NamedTuple):
    """One logged rollout."""

    step: int
    prompt_id: str | None
    input: str
    """The decoded prompt, chat template included."""
    truth: str | None
    """Canonical JSON of the ground truth; None if none was logged."""
    verdict: Verdict


def read_rollouts(
    folder: Path, keys: JoinKeys, *, solved_above: float = SOLVED_ABOVE
) -> RolloutHistory:
    """Read verl's ``trainer.rollout_data_dir`` and join its lines to prompts.

    A line with the field ``prompt_id`` belongs to that prompt. Otherwise a line belongs to the
    prompt with the longest text that occurs in its ``input``, whatever the chat template; equal
    texts are told apart by the ground truth ``gts``. White space around texts does not count.

    Parameters
    ----------
    folder : path
        Holds ``STEP.jsonl`` files with ``input``, ``gts``, ``score``, ``step`` and the verifier's
        extras on each line.
    keys : JoinKeys
        The n prompts.
    solved_above : float, default 0.5
        A rollout without ``acc`` is solved if its score is above.

    Raises
    ------
    SparftError
        If there is no such file, a line is broken, or no line belongs to any prompt.
    """
    join, counts = _Join(keys), Counter[str]()
    visits: dict[int, dict[int, list[float]]] = {}
    for line in read_lines(folder):
        prompt, outcome = join(line)
        counts[outcome] += 1
        if prompt is None:
            continue
        entry = visits.setdefault(prompt, {}).setdefault(line.step, [0, 0.0])
        entry[0] += 1
        entry[1] += solved(line.verdict, solved_above)
    if not visits:
        raise SparftError(
            f"{folder} has {counts.total()} rollouts and none of these {len(keys.ids)} prompts "
            f"({counts['ambiguous']} fit several, {counts['other_truth']} have another ground "
            "truth); name the data that the run was trained on."
        )
    return RolloutHistory(
        *_tabulate(visits, len(keys.ids)),
        joined=counts["joined"],
        unmatched=counts["unmatched"],
        ambiguous=counts["ambiguous"],
        other_truth=counts["other_truth"],
    )


def read_lines(folder: Path) -> Iterator[Line]:
    """Read every logged rollout, file by file.

    Raises
    ------
    SparftError
        If the folder has no ``.jsonl`` file, or a line is broken.
    """
    if not folder.is_dir():
        raise SparftError(f"the folder of rollouts {folder} does not exist; check the path.")
    files = sorted(folder.glob("*.jsonl"))
    if not files:
        raise SparftError(f"{folder} holds no STEP.jsonl file of rollouts; {HOW}")
    empty = True
    for file in files:
        try:
            with file.open(encoding="utf-8") as opened:
                for number, text in enumerate(opened, 1):
                    if not text.isspace():
                        empty = False
                        yield _parse(text, file, number)
        except (OSError, UnicodeDecodeError) as error:
            raise SparftError(f"{file} cannot be read: {error}") from error
    if empty:
        raise SparftError(f"{folder} holds no rollout in {len(files)} files; {HOW}")


class _Join:
    """Finds the prompt of a line; each different input is looked at once."""

    def __init__(self, keys: JoinKeys) -> None:
        self._row = {key: i for i, key in enumerate(keys.ids)}
        self._truths = keys.truths
        same: dict[str, list[int]] = {}
        for i in range(len(keys.ids)):
            same.setdefault(normalize(keys.texts[i]), []).append(i)
        self._same = list(same.values())
        self._index = TextIndex(list(same))
        self._seen: dict[tuple[str, str | None], tuple[int | None, str]] = {}

    def __call__(self, line: Line) -> tuple[int | None, str]:
        if line.prompt_id is not None:
            row = self._row.get(line.prompt_id)
            return row, "unmatched" if row is None else "joined"
        key = (line.input, line.truth)
        if key not in self._seen:
            self._seen[key] = self._find(*key)
        return self._seen[key]

    def _find(self, text: str, truth: str | None) -> tuple[int | None, str]:
        texts = self._index.longest_in(normalize(text))
        prompts = [prompt for place in texts for prompt in self._same[place]]
        if not prompts:
            return None, "unmatched"
        if truth is not None:
            prompts = [prompt for prompt in prompts if self._truths[prompt] == truth]
        if not prompts:
            return None, "other_truth"
        return (prompts[0], "joined") if len(prompts) == 1 else (None, "ambiguous")


def _tabulate(
    visits: dict[int, dict[int, list[float]]], n: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Solve rates, attempts and curves from (count, sum of accuracies) of each prompt and step."""
    rates, attempts = np.full(n, np.nan), np.zeros(n, dtype=np.int64)
    curves = np.full((n, max(map(len, visits.values()))), np.nan)
    for prompt, steps in visits.items():
        count = sum(entry[0] for entry in steps.values())
        attempts[prompt] = int(count)
        rates[prompt] = sum(entry[1] for entry in steps.values()) / count
        for visit, step in enumerate(sorted(steps)):
            curves[prompt, visit] = steps[step][1] / steps[step][0]
    return rates, attempts, curves


def _parse(text: str, file: Path, number: int) -> Line:
    place = f"{file}, line {number}"
    try:
        record = json.loads(text)
    except ValueError as error:
        raise SparftError(f"{place} is no JSON ({error}); remove the line.") from error
    if not isinstance(record, dict):
        raise SparftError(f"{place} is no JSON object; remove the line.")
    prompt, given = record.get("prompt_id"), record.get("input")
    if not isinstance(prompt, str) and not isinstance(given, str):
        raise SparftError(f"{place} has no text 'input'; {HOW}")
    truth = record.get("gts")
    return Line(
        step=_step(record, file, place),
        prompt_id=prompt if isinstance(prompt, str) else None,
        input=given if isinstance(given, str) else "",
        truth=None if truth is None else canonical_json(truth),
        verdict=read_verdict(record, place),
    )


def _step(record: dict[str, Any], file: Path, place: str) -> int:
    step = record.get("step", file.stem)
    try:
        return int(step)
    except (TypeError, ValueError) as error:
        raise SparftError(f"{place} has the step {step!r}; it must be an integer.") from error
