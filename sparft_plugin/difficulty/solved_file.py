"""SOLVED.jsonl, the output of ``sparft difficulty``: solve rate and difficulty of each prompt."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.difficulty.attempts import Tally
from sparft_plugin.errors import SparftError
from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction.atomic import whole_file

FORMAT = "sparft difficulty 1"
MEND = "make the file anew with `sparft difficulty`."


def write_solved(
    path: Path, prompts: PromptTable, tallies: Mapping[str, Tally], settings: Mapping[str, Any]
) -> None:
    """Write a header with the settings, then a line for each prompt that was attempted.

    A line is ``{id, row, difficulty, solve_rate, attempts, mean_score}`` with difficulty = 1 -
    solve rate. Prompts stand in the order of the table; those too long for the model are left out
    and counted in the header. The file appears whole or not at all.

    Raises
    ------
    SparftError
        If the file cannot be written.
    """
    measured = [
        (key, row, tallies[key])
        for key, row in zip(prompts.ids, prompts.rows.tolist(), strict=True)
        if tallies[key].attempts
    ]
    counts = {"prompts": len(measured), "too_long": len(prompts) - len(measured)}
    try:
        with whole_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            file.write(json.dumps({"format": FORMAT, **counts, "settings": dict(settings)}) + "\n")
            for key, row, tally in measured:
                line = {
                    "id": key,
                    "row": row,
                    "difficulty": 1.0 - tally.solve_rate,
                    "solve_rate": tally.solve_rate,
                    "attempts": tally.attempts,
                    "mean_score": tally.mean_score,
                }
                file.write(json.dumps(line, allow_nan=False) + "\n")
    except OSError as error:
        raise SparftError(f"{path} cannot be written: {error}") from error


def read_solved(path: Path, ids: Sequence[str]) -> tuple[NDArray[np.float64], int]:
    """Read the difficulty of some prompts.

    Parameters
    ----------
    path : path
        What ``write_solved`` wrote.
    ids : sequence of str
        n prompt ids.

    Returns
    -------
    difficulties : ndarray of float64, shape (n,)
        In [0, 1]; NaN for a prompt that the file does not know.
    strangers : int
        Prompts of the file that are not among ``ids``.

    Raises
    ------
    SparftError
        If the file cannot be read, a line is broken, or no id is shared.
    """
    index = {key: i for i, key in enumerate(ids)}
    values = np.full(len(ids), np.nan)
    strangers = 0
    try:
        with path.open(encoding="utf-8") as file:
            _check_header(path, file.readline())
            for number, line in enumerate(file, 2):
                key, difficulty = _read_line(path, number, line)
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


def _check_header(path: Path, line: str) -> None:
    try:
        header = json.loads(line)
    except ValueError:
        header = None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise SparftError(f"{path} is no file of `sparft difficulty`; {MEND}")


def _read_line(path: Path, number: int, line: str) -> tuple[str, float]:
    try:
        record = json.loads(line)
        key, difficulty = str(record["id"]), float(record["difficulty"])
    except (ValueError, TypeError, KeyError) as error:
        raise SparftError(f"{path}, line {number} is broken; {MEND}") from error
    if not (math.isfinite(difficulty) and 0.0 <= difficulty <= 1.0):
        raise SparftError(
            f"{path}, line {number}: the difficulty {difficulty:g} is not in [0, 1]; {MEND}"
        )
    return key, difficulty
