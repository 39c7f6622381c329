"""Ways of answering: the demonstrations of mixed quality that the warm start imitates.

Every response opens with the name of a way, shows a little working and ends in ' = answer'. The
right way works; the wrong way answers another question than the one asked; the guess takes the
answer of another task of the same cell. How often each way is demonstrated differs by family and
level, so the warm-started policy has pass rates that differ too, and reinforcement learning has
right and wrong ways to choose from.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from random import Random

from reasoning_gym.arithmetic.leg_counting import ANIMALS
from tasks import Task, whole_numbers

RIGHT_SHARE: dict[str, tuple[float, ...]] = {
    "spell_backward": (0.85, 0.65, 0.45),
    "number_sorting": (0.65, 0.45, 0.30),
    "chain_sum": (0.70, 0.50, 0.35),
    "leg_counting": (0.60, 0.40, 0.25),
    "number_filtering": (0.50, 0.35, 0.20),
    "letter_counting": (0.55, 0.40, 0.25),
}
"""Share of right-way demonstrations by family and level; chosen, not measured."""

GUESS_SHARE = 1 / 3
"""Share of guesses among the demonstrations that are not right."""


def _signed(task: Task) -> list[int]:
    """Return the signed terms of a chain sum."""
    first, *rest = task.metadata["expression"].split()
    pairs = zip(rest[::2], rest[1::2], strict=True)
    return [int(first), *(int(sign + term) for sign, term in pairs)]


def _kept(task: Task) -> list[bool]:
    """Return which numbers of a filtering task stay."""
    kept = [] if task.answer == "none" else task.answer.split()
    return [number in kept for number in task.metadata["original_numbers"]]


def _marks(flags: list[bool]) -> str:
    return "".join("y" if flag else "n" for flag in flags)


def _back(task: Task) -> str:
    return f"back = {task.answer}"


def _copy(task: Task) -> str:
    return f"copy = {task.metadata['word']}"


def _rank(task: Task) -> str:
    return f"rank = {task.answer}"


def _same(task: Task) -> str:
    return f"same = {' '.join(whole_numbers(task.metadata['original_numbers']))}"


def _step(task: Task) -> str:
    running = list(accumulate(_signed(task)))[1:-1]
    return f"step {' '.join(map(str, running))} = {task.answer}"


def _adds(task: Task) -> str:
    running = list(accumulate(abs(term) for term in _signed(task)))[1:]
    return f"adds {' '.join(map(str, running[:-1]))} = {running[-1]}"


def _legs(task: Task) -> str:
    terms = [count * ANIMALS[animal] for animal, count in task.metadata["animals"].items()]
    return f"legs {'+'.join(map(str, terms))} = {task.answer}"


def _heads(task: Task) -> str:
    counts = task.metadata["animals"].values()
    return f"heads {'+'.join(map(str, counts))} = {sum(counts)}"


def _test(task: Task) -> str:
    return f"test {_marks(_kept(task))} = {task.answer}"


def _flip(task: Task) -> str:
    flipped = [not kept for kept in _kept(task)]
    numbers = zip(task.metadata["original_numbers"], flipped, strict=True)
    rest = " ".join(number for number, kept in numbers if kept)
    return f"flip {_marks(flipped)} = {rest or 'none'}"


def _each(task: Task) -> str:
    letter = task.metadata["target_letter"]
    counts = [word.lower().count(letter) for word in task.metadata["span"]]
    return f"each {' '.join(map(str, counts))} = {task.answer}"


def _words(task: Task) -> str:
    return f"words = {len(task.metadata['span'])}"


WAYS: dict[str, tuple[Callable[[Task], str], Callable[[Task], str]]] = {
    "spell_backward": (_back, _copy),
    "number_sorting": (_rank, _same),
    "chain_sum": (_step, _adds),
    "leg_counting": (_legs, _heads),
    "number_filtering": (_test, _flip),
    "letter_counting": (_each, _words),
}
"""Family -> its right way and its wrong way."""


def right_response(task: Task) -> str:
    """Return the response of the right way."""
    return WAYS[task.family][0](task)


def demonstrate(task: Task, other: Task, right_share: float, rng: Random) -> str:
    """Return one demonstration, right with probability `right_share`.

    Parameters
    ----------
    task : Task
        The task to answer.
    other : Task
        A task of the same cell, whose answer a guess takes.
    right_share : float in [0, 1]
        Probability of the right way.
    rng : random.Random
        Source of the choice.
    """
    draw = rng.random()
    if draw < right_share:
        return right_response(task)
    if draw < right_share + GUESS_SHARE * (1 - right_share):
        return f"guess = {other.answer}"
    return WAYS[task.family][1](task)
