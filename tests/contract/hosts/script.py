"""What is answered, which is the same for every host, and a run by hand that is told it."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from datasets import Dataset

from sparft_plugin.corpus import Columns
from sparft_plugin.corpus.sources import DatasetSource
from sparft_plugin.curriculum import Pick, Prompt
from sparft_plugin.prompts import prompt_id
from sparft_plugin.training.pool import Pool
from sparft_plugin.training.run import TrainingRun
from tests.contract.by_hand import Answer, Record, drive

STEPS, PROMPTS, ROLLOUTS, LIMIT = 5, 4, 4, 9
WORDS = ("apple", "river", "stone", "cloud", "seven", "green", "mirror", "candle", "window")
MEMORY = {"name": "memory_r_plus", "encoder": "all-MiniLM-L6-v2", "warmup_steps": 1}
SECTIONS = {
    "curriculum": {"curriculum": {"name": "sec"}},
    "both": {"curriculum": {"name": "sparft"}, "memory": MEMORY},
    "memory": {"memory": {"name": "memory_r", "encoder": "all-MiniLM-L6-v2"}},
}
"""In each a group may be lost at any step."""


def section(name: str) -> dict[str, Any]:
    return {"seed": 3, "max_incomplete": 1.0, **SECTIONS[name]}


def _row(number: int) -> dict[str, Any]:
    prompt = [{"role": "user", "content": f"What is {number} and {number + 1}?"}]
    tag = {"id": prompt_id("sums", prompt), "arm": number % 3, "difficulty": number / 12}
    return {
        "prompt": prompt,
        "data_source": "sums",
        "reward_model": {"style": "rule", "ground_truth": str(2 * number + 1)},
        "extra_info": {"sparft": tag},
    }


ROWS = [_row(number) for number in range(12)]
IDS = [row["extra_info"]["sparft"]["id"] for row in ROWS]


def rows() -> Dataset:
    return Dataset.from_list(ROWS)


def text_of(row: dict[str, Any]) -> str:
    return str(row["prompt"][0]["content"])


@dataclass
class Script:
    """What the model answers: a function of the prompt, of how often it was asked, and rollout."""

    loses: bool = True
    """Whether rollouts are lost; verl's legacy trainer stops where one is."""
    asked: Counter[str] = field(default_factory=Counter)

    def answers(self, text: str) -> list[str]:
        """Responses of a group; a lost rollout is told by its first word."""
        self.asked[text] += 1
        found = []
        for rollout in range(ROLLOUTS):
            code = hashlib.sha1(f"{text}/{self.asked[text]}/{rollout}".encode()).digest()
            lost = self.loses and code[0] < 12
            first = "lost" if lost else "right" if code[1] < 90 else "wrong"
            words = [WORDS[byte % len(WORDS)] for byte in code[2 : 6 + code[2] % 5]]
            found.append(" ".join([first, *words]))
        return found


def score(response: str) -> float | None:
    kind = response.split()[0]
    return None if kind == "lost" else float(kind == "right")


def direct(name: str, loses: bool = True) -> Record:
    """Drive a run by hand."""
    script, columns = Script(loses), Columns(template=None)

    def choose(run: TrainingRun, step: int) -> list[Pick]:
        if run.curriculum is not None:
            return run.select(PROMPTS)
        return [Pick(-1, Prompt(IDS[at])) for at in drawn(step)]

    def answers(text: str) -> list[Answer]:
        return [Answer(said, len(said.split()), score(said)) for said in script.answers(text)]

    return drive(
        section(name),
        lambda options: Pool.from_source(DatasetSource(rows(), "rows"), columns, options),
        choose,
        answers,
        STEPS,
        LIMIT,
    )


def drawn(step: int) -> list[int]:
    """Rows of a step in the recipe's own order, where there is no curriculum."""
    return [(step * PROMPTS + at) % len(ROWS) for at in range(PROMPTS)]
