"""Difficulty and reward curves from the rollouts that a verl run logged."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.corpus import Corpus
from sparft_plugin.corpus.rows import canonical_json
from sparft_plugin.difficulty.measure import rows_of
from sparft_plugin.difficulty.solved import SOLVED_ABOVE, Verdict, parse_object, read_verdict
from sparft_plugin.errors import SparftError, require
from sparft_plugin.prompts import PromptTable

HOW = "log them with trainer.rollout_data_dir=DIR."
OUTCOMES = ("joined", "unmatched", "ambiguous", "other_truth")
WIDTHS = (24, 6, 1)
"""Lengths of the windows that texts are found by; a text uses the longest that fits in it."""
_MASK = (1 << 21) - 1


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
    lines: dict[str, int]
    """How many lines are ``joined`` to one prompt; ``unmatched``, as their input holds no prompt or
    their ``prompt_id`` is unknown; ``ambiguous``, as they fit several prompts equally well; or have
    an ``other_truth`` than the prompt whose text they fit."""


class JoinKeys(NamedTuple):
    """What rollouts are joined to n prompts by."""

    ids: Sequence[str]
    texts: Sequence[str]
    """Text of each prompt's last user message, or a part of it."""
    truths: Sequence[str]
    """Canonical JSON of each prompt's ground truth."""


class _Line(NamedTuple):
    """One logged rollout: its input with the chat template, its ground truth as canonical JSON."""

    step: int
    prompt_id: str | None
    input: str
    truth: str | None
    verdict: Verdict


def read_join_keys(prompts: PromptTable, corpus: Corpus) -> JoinKeys:
    """Read what rollouts are joined by, into memory: last user messages and ground truths."""
    rows = rows_of(prompts, corpus, range(len(prompts)))
    read = [
        (_last_user_text(row.prompt), canonical_json(row.reward_model["ground_truth"]))
        for row in rows
    ]
    return JoinKeys(prompts.ids, [text for text, _ in read], [truth for _, truth in read])


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
    """
    join, counts = _Join(keys), Counter[str]()
    visits: dict[int, dict[int, list[float]]] = {}
    for line in _read_lines(folder):
        prompt, outcome = join(line)
        counts[outcome] += 1
        if prompt is not None:
            share = line.verdict.solved(solved_above)
            visits.setdefault(prompt, {}).setdefault(line.step, []).append(share)
    if not visits:
        raise SparftError(
            f"{folder} has {counts.total()} rollouts and none of these {len(keys.ids)} prompts "
            f"({counts['ambiguous']} fit several, {counts['other_truth']} have another ground "
            "truth); name the data that the run was trained on."
        )
    n = len(keys.ids)
    rates, attempts = np.full(n, np.nan), np.zeros(n, dtype=np.int64)
    curves = np.full((n, max(map(len, visits.values()))), np.nan)
    for prompt, steps in visits.items():
        by_step = [steps[step] for step in sorted(steps)]
        shares = [share for visit in by_step for share in visit]
        attempts[prompt], rates[prompt] = len(shares), sum(shares) / len(shares)
        curves[prompt, : len(steps)] = [sum(visit) / len(visit) for visit in by_step]
    return RolloutHistory(rates, attempts, curves, {name: counts[name] for name in OUTCOMES})


class _Join:
    """Finds the prompt of a line, and what became of it; each different input is looked at once."""

    def __init__(self, keys: JoinKeys) -> None:
        self._row = {key: i for i, key in enumerate(keys.ids)}
        self._truths = keys.truths
        same: dict[str, list[int]] = {}
        for i, text in enumerate(keys.texts):
            same.setdefault(normalize(text), []).append(i)
        self._same = list(same.values())
        self._index = TextIndex(list(same))
        self._seen: dict[tuple[str, str | None], tuple[int | None, str]] = {}

    def __call__(self, line: _Line) -> tuple[int | None, str]:
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


class TextIndex:
    """Finds which of many known texts occur in an input, by one rare window of each.

    Every text is listed under one of its windows of fixed length, the one that fewest texts share,
    since prompts of one data set often begin or end alike. An input is cut into all its windows,
    and only the texts listed under one of them are compared in full. Texts are distinct, none
    empty, and as ``normalize`` gives them.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        # A bounded table of counts: a collision only makes a choice less good.
        counts = Counter(hash(w) & _MASK for text in texts for w in _tiles(text))
        self._listed: dict[int, dict[str, list[int]]] = {}
        for place, text in enumerate(texts):
            window = min(_tiles(text), key=lambda w: counts[hash(w) & _MASK])
            self._listed.setdefault(len(window), {}).setdefault(window, []).append(place)

    def longest_in(self, text: str) -> list[int]:
        """Places of the longest texts that occur in a normalized text, increasing."""
        found = {
            place
            for width, listed in self._listed.items()
            for window in {text[i : i + width] for i in range(len(text) - width + 1)}
            for place in listed.get(window, ())
            if self._texts[place] in text
        }
        longest = max((len(self._texts[place]) for place in found), default=0)
        return sorted(place for place in found if len(self._texts[place]) == longest)


def normalize(text: str) -> str:
    """Without what chat templates and tokenizers change: outer white space, Unicode's NFC."""
    return unicodedata.normalize("NFC", text).strip()


def _tiles(text: str) -> Iterator[str]:
    """Windows that together cover the text; the last one ends with it."""
    width = next(width for width in WIDTHS if len(text) >= width)
    for start in range(0, len(text) - width, width):
        yield text[start : start + width]
    yield text[-width:]


def _last_user_text(messages: Sequence[dict[str, Any]]) -> str:
    """Text of the last user message that has any; of parts, the longest, as media lie between."""
    for message in reversed(messages):
        content = message["content"]
        parts = [content] if isinstance(content, str) else content
        texts = [part if isinstance(part, str) else part.get("text") or "" for part in parts]
        text = max(texts, key=lambda text: len(text.strip()), default="")
        if message["role"] == "user" and text.strip():
            return text
    return ""


def _read_lines(folder: Path) -> Iterator[_Line]:
    """Read every logged rollout, file by file."""
    exists = folder.is_dir()
    require(exists, f"the folder of rollouts {folder} does not exist; check the path.")
    files = sorted(folder.glob("*.jsonl"))
    require(bool(files), f"{folder} holds no STEP.jsonl file of rollouts; {HOW}")
    empty = True
    for file in files:
        try:
            with file.open(encoding="utf-8") as opened:
                for number, text in enumerate(opened, 1):
                    if not text.isspace():
                        empty = False
                        yield _parse(text, file.stem, f"{file}, line {number}")
        except (OSError, UnicodeDecodeError) as error:
            raise SparftError(f"{file} cannot be read: {error}") from error
    require(not empty, f"{folder} holds no rollout in {len(files)} files; {HOW}")


def _parse(text: str, name: str, place: str) -> _Line:
    record = parse_object(text)
    if record is None:
        raise SparftError(f"{place} is no JSON object; remove the line.")
    prompt, given = record.get("prompt_id"), record.get("input")
    if not isinstance(prompt, str) and not isinstance(given, str):
        raise SparftError(f"{place} has no text 'input'; {HOW}")
    step, truth = record.get("step", name), record.get("gts")
    try:
        number = int(step)
    except (TypeError, ValueError) as error:
        raise SparftError(f"{place} has the step {step!r}; it must be an integer.") from error
    return _Line(
        step=number,
        prompt_id=prompt if isinstance(prompt, str) else None,
        input=given if isinstance(given, str) else "",
        truth=None if truth is None else canonical_json(truth),
        verdict=read_verdict(record, place),
    )
