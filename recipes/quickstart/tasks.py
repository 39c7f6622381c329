"""Six short `reasoning-gym` families at three levels each, as verl rows.

Questions and answers are reasoning-gym's own items; only the wording is shortened to one line, so
that a byte-level model of half a million parameters reads a question in at most 72 tokens. Which
split an item belongs to is a property of its prompt's hash: no prompt is in two splits, whatever
the seeds and sizes.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import reasoning_gym

SPLITS = {"test": range(0, 1), "pool": range(1, 4), "warm": range(4, 16)}
"""Share of the prompt hash space, in sixteenths, that each split owns."""

MAX_PROMPT_BYTES = 72
"""Longer questions are skipped."""


@dataclass(frozen=True)
class Task:
    """One question with its answer.

    Parameters
    ----------
    family : str
        reasoning-gym dataset name.
    level : int
        Difficulty level, from 1.
    index : int
        Index of the item in the seeded reasoning-gym dataset.
    prompt, answer : str
        The one-line question and the only accepted answer.
    metadata : dict
        reasoning-gym's own metadata of the item.
    """

    family: str
    level: int
    index: int
    prompt: str
    answer: str
    metadata: dict[str, Any]


@dataclass(frozen=True)
class Family:
    """A reasoning-gym dataset, its levels and its one-line wording.

    Parameters
    ----------
    levels : tuple of dict
        reasoning-gym configuration of each level, easiest first.
    ask : callable
        Item -> one-line question.
    answer : callable
        Item -> answer as plain text.
    """

    levels: tuple[dict[str, Any], ...]
    ask: Callable[[dict[str, Any]], str]
    answer: Callable[[dict[str, Any]], str]


def between(name: str, low: int, high: int | None = None) -> dict[str, int]:
    """Return reasoning-gym's pair of options ``min_<name>``, ``max_<name>``."""
    return {f"min_{name}": low, f"max_{name}": low if high is None else high}


def whole_numbers(values: list[str]) -> list[str]:
    """Write numbers such as '12.0' without their empty fraction."""
    return [str(int(float(value))) for value in values]


def _plain(item: dict[str, Any]) -> str:
    return str(item["answer"])


def _listed(item: dict[str, Any]) -> str:
    return " ".join(whole_numbers(ast.literal_eval(item["answer"]))) or "none"


def _ask_sorting(item: dict[str, Any]) -> str:
    meta = item["metadata"]
    return f"Sort {meta['direction']}: {' '.join(whole_numbers(meta['original_numbers']))}"


def _ask_filtering(item: dict[str, Any]) -> str:
    meta = item["metadata"]
    verb, side = meta["operation"].split("_")
    numbers = " ".join(meta["original_numbers"])
    return f"{verb.capitalize()} {side} than {meta['filter_value']}: {numbers}"


def _ask_legs(item: dict[str, Any]) -> str:
    animals = item["metadata"]["animals"]
    return "Count legs: " + ", ".join(f"{count} {animal}" for animal, count in animals.items())


def _ask_letters(item: dict[str, Any]) -> str:
    meta = item["metadata"]
    return f"Count letter {meta['target_letter']}: {' '.join(meta['span'])}"


_WHOLE = {**between("decimals", 0), **between("value", 0, 99)}
_DIGITS = {**between("decimals", 0), **between("value", 0, 9)}

FAMILIES: dict[str, Family] = {
    "spell_backward": Family(
        (between("word_len", 3, 4), between("word_len", 5, 6), between("word_len", 7, 8)),
        lambda item: f"Spell backward: {item['metadata']['word']}",
        _plain,
    ),
    "number_sorting": Family(
        tuple({**_WHOLE, **between("numbers", n)} for n in (3, 4, 5)), _ask_sorting, _listed
    ),
    "chain_sum": Family(
        tuple({**between("digits", 1), **between("terms", n)} for n in (3, 4, 5)),
        lambda item: f"Compute: {item['metadata']['expression']}",
        _plain,
    ),
    "leg_counting": Family(
        (
            {**between("animals", 2), **between("instances", 1, 3)},
            {**between("animals", 2), **between("instances", 4, 6)},
            {**between("animals", 3), **between("instances", 1, 3)},
        ),
        _ask_legs,
        _plain,
    ),
    "number_filtering": Family(
        tuple({**_DIGITS, **between("numbers", n)} for n in (3, 4, 5)), _ask_filtering, _listed
    ),
    "letter_counting": Family(tuple(between("words", n) for n in (3, 4, 5)), _ask_letters, _plain),
}
"""Family name -> levels and wording; the name is also reasoning-gym's dataset name."""

CELLS: tuple[tuple[str, int], ...] = tuple(
    (name, level) for name, family in FAMILIES.items() for level in range(1, len(family.levels) + 1)
)
"""Every (family, level), in a fixed order."""


def split_of(prompt: str) -> str:
    """Return the only split that may hold this prompt."""
    share = hashlib.blake2b(prompt.encode(), digest_size=1).digest()[0] % 16
    return next(name for name, owned in SPLITS.items() if share in owned)


def tasks(split: str, family: str, level: int, seed: int) -> Iterator[Task]:
    """Yield the cell's tasks of one split, in reasoning-gym's seeded order, repeats included.

    Parameters
    ----------
    split : {"warm", "pool", "test"}
    family : str
        A key of `FAMILIES`.
    level : int
        From 1 to the family's number of levels.
    seed : int
        Seed of the reasoning-gym dataset.

    Raises
    ------
    ValueError
        For an unknown split.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
    wording = FAMILIES[family]
    dataset = reasoning_gym.create_dataset(
        family, seed=seed, size=10_000_000, **wording.levels[level - 1]
    )
    for index in range(len(dataset)):
        item = dataset[index]
        prompt = wording.ask(item)
        if len(prompt.encode()) <= MAX_PROMPT_BYTES and split_of(prompt) == split:
            yield Task(family, level, index, prompt, wording.answer(item), item["metadata"])


def unique_tasks(split: str, family: str, level: int, n: int, seed: int) -> list[Task]:
    """Return the first `n` tasks of a cell whose prompts differ.

    Raises
    ------
    ValueError
        If the cell has not `n` different prompts among its first 200 `n` tasks of the split.
    """
    found: dict[str, Task] = {}
    for seen, task in enumerate(tasks(split, family, level, seed)):
        found.setdefault(task.prompt, task)
        if len(found) == n:
            return list(found.values())
        if seen > 200 * n:
            break
    raise ValueError(f"{family} level {level}: only {len(found)} different {split} prompts")


def rows(split: str, n_per_cell: int, seed: int) -> list[dict[str, Any]]:
    """Return verl rows, evenly over families and levels.

    Parameters
    ----------
    split : {"warm", "pool", "test"}
    n_per_cell : int
        Different prompts per (family, level).
    seed : int
        Seed of the reasoning-gym datasets.

    Returns
    -------
    list of dict, length ``n_per_cell * len(CELLS)``
        verl's columns; ``extra_info["difficulty"]`` is the level on a scale from 0 to 1.
    """
    return [
        {
            "data_source": f"reasoning_gym/{task.family}",
            "prompt": [{"role": "user", "content": task.prompt}],
            "ability": task.family,
            "reward_model": {"style": "rule", "ground_truth": task.answer},
            "extra_info": {
                "split": split,
                "index": task.index,
                "family": task.family,
                "level": task.level,
                "difficulty": (level - 1) / (len(FAMILIES[family].levels) - 1),
            },
        }
        for family, level in CELLS
        for task in unique_tasks(split, family, level, n_per_cell, seed)
    ]
