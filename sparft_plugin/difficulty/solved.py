"""What counts as solved, and SOLVED.jsonl: solve rate and difficulty of each prompt."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError
from sparft_plugin.prompts import PromptTable

SOLVED_ABOVE = 0.5
"""Score above which a response without an accuracy counts as solved."""
FORMAT = "sparft difficulty 1"
MEND = "make the file anew with `sparft difficulty`."


class Verdict(NamedTuple):
    """What a verifier said of one response: a finite score, and an accuracy in [0, 1] or None."""

    score: float
    accuracy: float | None

    def solved(self, solved_above: float) -> float:
        """Share that counts as solved: the accuracy, or whether the score is above."""
        return float(self.score > solved_above) if self.accuracy is None else self.accuracy


class Tally(NamedTuple):
    """Mean accuracy in [0, 1] and mean score of a prompt's attempts; NaN if there are none."""

    solve_rate: float
    mean_score: float
    attempts: int

    @classmethod
    def of(cls, verdicts: Sequence[Verdict], solved_above: float) -> Tally:
        """Count the verdicts on one prompt's attempts."""
        if not verdicts:
            return cls(math.nan, math.nan, 0)
        count = len(verdicts)
        rate = sum(verdict.solved(solved_above) for verdict in verdicts) / count
        return cls(rate, sum(verdict.score for verdict in verdicts) / count, count)


def read_verdict(result: Any, source: str) -> Verdict:
    """Read what a reward function returned, or what verl logged of it.

    That is a score; or a dict with ``score``, ``acc`` in [0, 1] or both; or a sequence that begins
    with a score. Numbers are finite. ``source`` is what gave it, for messages.
    """
    if isinstance(result, (list, tuple)) and result:
        result = result[0]
    if not isinstance(result, Mapping):
        return Verdict(_number(result, "score", source), None)
    given = result.get("acc")
    accuracy = None if given is None else _number(given, "acc", source)
    if accuracy is not None and not 0.0 <= accuracy <= 1.0:
        raise SparftError(f"{source} gave acc {accuracy:g}; it must be in [0, 1].")
    return Verdict(_number(result.get("score", accuracy), "score", source), accuracy)


def write_solved(
    path: Path, prompts: PromptTable, tallies: Mapping[str, Tally], settings: Mapping[str, Any]
) -> None:
    """Write a header with the settings, then a line for each prompt that was attempted.

    A line is ``{id, row, difficulty, solve_rate, attempts, mean_score}`` with difficulty = 1 -
    solve rate. Prompts stand in the order of the table; those too long for the model are left out
    and counted in the header. The file appears whole or not at all.
    """
    # The reduction itself reads difficulties, so that its room cannot be imported above.
    from sparft_plugin.reduction.files import whole_file

    lines = []
    for key, row in zip(prompts.ids, prompts.rows.tolist(), strict=True):
        rate, score, attempts = tallies[key]
        if attempts:
            line = {"id": key, "row": row, "difficulty": 1.0 - rate, "solve_rate": rate}
            lines.append({**line, "attempts": attempts, "mean_score": score})
    counts = {"prompts": len(lines), "too_long": len(prompts) - len(lines)}
    header = {"format": FORMAT, **counts, "settings": dict(settings)}
    try:
        with whole_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            for line in (header, *lines):
                file.write(json.dumps(line, allow_nan=False) + "\n")
    except OSError as error:
        raise SparftError(f"{path} cannot be written: {error}") from error


def read_solved(path: Path, ids: Sequence[str]) -> tuple[NDArray[np.float64], int]:
    """Read the difficulties of some prompts, and how many others the file has.

    They are in [0, 1], shape (n,), NaN for a prompt that the file does not know.
    """
    index = {key: i for i, key in enumerate(ids)}
    values = np.full(len(ids), np.nan)
    strangers = 0
    try:
        with path.open(encoding="utf-8") as file:
            header = parse_object(file.readline())
            if header is None or header.get("format") != FORMAT:
                raise SparftError(f"{path} is no file of `sparft difficulty`; {MEND}")
            for number, line in enumerate(file, 2):
                key, difficulty = _read_line(f"{path}, line {number}", line)
                if key in index:
                    values[index[key]] = difficulty
                else:
                    strangers += 1
    except FileNotFoundError as error:
        raise SparftError(f"{path} does not exist; check the path.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SparftError(f"{path} cannot be read ({error}); {MEND}") from error
    if np.isnan(values).all():
        raise SparftError(
            f"{path} knows {strangers} prompts and none of these {len(ids)}; measure these data, "
            "with the same prompt column and template."
        )
    return values, strangers


def parse_object(text: str | bytes) -> dict[str, Any] | None:
    """Read a JSON object; None if it is anything else."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _read_line(place: str, line: str) -> tuple[str, float]:
    try:
        record = json.loads(line)
        key, difficulty = str(record["id"]), float(record["difficulty"])
    except (ValueError, TypeError, KeyError) as error:
        raise SparftError(f"{place} is broken; {MEND}") from error
    if not 0.0 <= difficulty <= 1.0:
        raise SparftError(f"{place}: the difficulty {difficulty:g} is not in [0, 1]; {MEND}")
    return key, difficulty


def _number(value: Any, name: str, source: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise SparftError(
            f"{source} gave the {name} {value!r}; a number, or a dict with 'score' or 'acc', is "
            "needed."
        ) from error
    if not math.isfinite(number):
        raise SparftError(f"{source} gave the {name} {number}; it must be finite.")
    return number
