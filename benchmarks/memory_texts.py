"""Rollouts as a model would answer GSM8K, without a model: worked answers with other numbers."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import NamedTuple

CHANGED, REPEATED = 0.3, 0.1
"""Shares of numbers that are changed, and of rollouts that repeat one of their group."""


class Question(NamedTuple):
    """A question with its rollouts."""

    text: str
    rollouts: list[tuple[str, float]]
    """Response and accuracy of each."""


def questions(folder: Path, prompts: int, rollouts: int) -> list[Question]:
    """Draw questions of the training split and perturb their worked answers.

    Parameters
    ----------
    folder : Path
        Holds GSM8K's ``train.jsonl``.
    prompts, rollouts : int
        Questions, and rollouts of each.
    """
    rng = random.Random(0)
    rows = (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()
    drawn = []
    for row in map(json.loads, rng.sample(rows, prompts)):
        worked = re.sub(r"<<.*?>>", "", row["answer"])
        group: list[tuple[str, float]] = []
        for _ in range(rollouts):
            again = bool(group) and rng.random() < REPEATED
            group.append(rng.choice(group) if again else _rollout(worked, rng))
        drawn.append(Question(row["question"], group))
    return drawn


def _rollout(worked: str, rng: random.Random) -> tuple[str, float]:
    def other(number: re.Match[str]) -> str:
        keep = rng.random() >= CHANGED
        return number.group() if keep else str(max(0, int(number.group()) + rng.randint(-9, 9)))

    response = re.sub(r"\d+", other, worked)
    return response, float(response.rpartition("####")[2] == worked.rpartition("####")[2])
