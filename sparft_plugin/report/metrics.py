"""Read the metrics of a run from verl's ``file`` logger."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError

OLDER = "timing_s/"
"""What verl's older trainers log our metrics under: they keep a table of times and no other."""
ARM = re.compile(r"^sparft/curriculum/arm_(\d+)/picks$")


@dataclass(frozen=True)
class Step:
    """Metrics of one trainer step by verl's names."""

    step: int
    values: dict[str, float]


def read_metrics(path: Path) -> list[Step]:
    """Return the steps that carry sparft's metrics, in order; a step logged twice counts once.

    A resumed run logs the steps since its checkpoint again; the later row stands. If there is no
    such file, or none of its rows has sparft's metrics, it is a SparftError.
    """
    if not path.is_file():
        raise SparftError(f"{path} does not exist; train with trainer.logger=[console,file].")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SparftError(f"{path} cannot be read: {error}") from error
    steps: dict[int, Step] = {}
    for number, line in enumerate(lines, start=1):
        step = _step(line, f"{path}, line {number}")
        if any(name.startswith("sparft/") for name in step.values):
            steps[step.step] = step
    if not steps:
        raise SparftError(f"{path} has no sparft metrics; was the run started with +sparft=NAME?")
    return [steps[number] for number in sorted(steps)]


def series(steps: Sequence[Step], name: str) -> NDArray[np.float64]:
    """One metric over the steps, shape (steps,); NaN where a step does not have it."""
    return np.array([step.values.get(name, np.nan) for step in steps], dtype=np.float64)


def picks_per_arm(steps: Sequence[Step]) -> NDArray[np.float64]:
    """Picks made in each step, shape (arms, steps); no rows without a curriculum."""
    arms = sorted({int(m.group(1)) for s in steps for name in s.values if (m := ARM.match(name))})
    running = [series(steps, f"sparft/curriculum/arm_{arm}/picks") for arm in arms]
    table = np.array(running).reshape(len(arms), len(steps))
    # verl's logger starts a new file when a run resumes: its first step then has no picks before
    # it to be told apart from, and is drawn empty.
    before = 0.0 if steps[0].step == 1 else table[:, :1]
    return np.diff(table, axis=1, prepend=before)


def _step(line: str, place: str) -> Step:
    """Read one row; what others log and is no number is left out."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise SparftError(f"{place} is no JSON ({error}); remove it.") from error
    step, data = (row.get("step"), row.get("data")) if isinstance(row, dict) else (None, None)
    if not isinstance(step, int) or not isinstance(data, dict):
        raise SparftError(f"{place} must have a step that is a number and data by name; remove it.")
    values = {_ours(name): value for name, value in data.items()}
    numbers = {name: value for name, value in values.items() if isinstance(value, (int, float))}
    for name in values.keys() - numbers.keys():
        if name.startswith("sparft/"):
            raise SparftError(f"{place}, '{name}' is {values[name]!r}, no number; remove the line.")
    return Step(step, numbers)


def _ours(name: str) -> str:
    return name.removeprefix(OLDER) if name.startswith(f"{OLDER}sparft/") else name
