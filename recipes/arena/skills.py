"""Worlds of skills: tasks whose right answer the model can already sample, each skill by itself.

A skill has a right way and a wrong way to answer, and begins its answers with a word of its own, so
that what is learned of one skill says nothing of another. How often the model takes the right way
before training is the skill's share, which the warm start teaches (`policy.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

WORDS = [
    "amber",
    "brick",
    "cloud",
    "delta",
    "ember",
    "flute",
    "grain",
    "house",
    "index",
    "jewel",
    "knife",
    "lemon",
    "maple",
    "north",
    "ocean",
    "piano",
    "quilt",
    "river",
    "stone",
    "tower",
]
PERMUTATIONS = ((1, 2, 3, 0), (3, 0, 1, 2), (1, 0, 3, 2), (2, 3, 0, 1), (3, 2, 1, 0), (0, 2, 1, 3))


@dataclass(frozen=True)
class Task:
    """A prompt of a skill, and three answers to it."""

    skill: int
    prompt: str
    right: str
    wrong: str
    """What the model says when it does not say what is right."""
    never: str
    """What the model never says: the truth of a row whose label is broken."""


@dataclass(frozen=True)
class World:
    """Skills of one kind.

    Parameters
    ----------
    name : str
    shares : tuple of float
        Share of right answers that the warm start teaches, by skill.
    make : callable
        Makes a task of a skill from a random generator.
    length : int
        Longest answer in bytes.
    heads : int
        Attention heads of its model.
    """

    name: str
    shares: tuple[float, ...]
    make: Callable[[int, Random], Task]
    length: int
    heads: int = 4

    @property
    def skills(self) -> range:
        """Numbers of the skills."""
        return range(len(self.shares))


def _digits(skill: int, rng: Random, digits: list[int] | None = None) -> Task:
    """A word and four digits: answer with a permutation of them that is the skill's own."""
    shown = digits or [rng.randrange(10) for _ in range(4)]
    word = WORDS[skill]
    right, wrong = (
        word[:2] + "".join(str(shown[at]) for at in PERMUTATIONS[turn % len(PERMUTATIONS)])
        for turn in (skill, skill + 1)
    )
    never = word[:2] + "".join(str((digit + 1) % 10) for digit in shown)
    return Task(skill, f"{word} {''.join(map(str, shown))}", right, wrong, never)


LEVELS = 5
CHAINS = 4
STEP = 0.4
"""Share of right steps; those of an answer must all be right."""


def _chains(number: int, rng: Random) -> Task:
    """A word, a level and four digits: apply the skill's permutation level times, and show it."""
    skill, level = number // LEVELS, number % LEVELS + 1
    shown = [rng.randrange(10) for _ in range(4)]
    word = WORDS[skill]
    # Each step goes wrong with the same chance, and what follows a wrong step is wrong.
    start = rng.choices(range(level), [STEP**step for step in range(level)])[0]

    def steps(first_wrong: int) -> str:
        now, said = shown, word[:2]
        for step in range(level):
            way = PERMUTATIONS[(skill + (1 if step >= first_wrong else 0)) % len(PERMUTATIONS)]
            now = [now[at] for at in way]
            said += "".join(map(str, now)) + " "
        return said.rstrip()

    prompt = f"{word} {level} {''.join(map(str, shown))}"
    return Task(number, prompt, steps(level), steps(start), word[:2] + "-")


STORIES = (
    ("Ann has {a} apples and picks {b} more.", "apples", "+"),
    ("Bob had {a} books and lost {b} of them.", "books", "-"),
    ("Cal packs {a} cakes in each of {b} boxes.", "cakes", "*"),
    ("Dan owns {a} drums, and Eve owns {b} drums.", "drums", "+"),
    ("Fay drew {a} flags, then tore up {b}.", "flags", "-"),
    ("Gus sees {a} geese on each of {b} ponds.", "geese", "*"),
    ("Hal wore {a} hats, and then {b} others.", "hats", "+"),
    ("Ida spent {b} of her {a} inks.", "inks", "-"),
    ("Jon fills {b} shelves with {a} jars each.", "jars", "*"),
    ("Kim flew {a} kites; a friend brings {b}.", "kites", "+"),
)


def _stories(skill: int, rng: Random) -> Task:
    """A sentence and a question as in GSM8K; the right way is the operation asked for."""
    text, things, right = STORIES[skill]
    a, b = rng.randint(2, 9), rng.randint(1, 9)
    a, b = max(a, b), min(a, b)
    order = "+-*"
    wrong, never = (order[(order.index(right) + turn) % 3] for turn in (1, 2))

    def answer(way: str) -> str:
        value = {"+": a + b, "-": a - b, "*": a * b}[way]
        return f"{things}: {a}{way}{b}={value}"

    name = rng.choice(("now", "today", "at the end", "in all", "by then", "this week"))
    prompt = f"{text.format(a=a, b=b)} How many {things} {name}?"
    return Task(skill, prompt, answer(right), answer(wrong), answer(never))


LEARNABLE = (0.08, 0.10, 0.13, 0.16, 0.20, 0.26, 0.33, 0.40)
SOLVED, DOUBTFUL = (0.985,) * 6, (0.25,) * 6

DIGITS = World("digits", LEARNABLE + SOLVED + DOUBTFUL, _digits, 6)
CHAIN = World(
    "chains",
    tuple(STEP ** (level + 1) for _ in range(CHAINS) for level in range(LEVELS)),
    _chains,
    2 + 5 * LEVELS,
)
STORY = World("stories", (0.06, 0.08, 0.10, 0.13, 0.16, 0.20, 0.25, 0.30, 0.35, 0.40), _stories, 15)
DIGITS_32 = replace(DIGITS, name="digits_32", heads=3)
"""The same for a model with heads of 32, which vLLM can run on a CPU."""
WORLDS = {world.name: world for world in (DIGITS, DIGITS_32, CHAIN, STORY)}


def copies(task: Task, rng: Random, count: int) -> list[Task]:
    """Near-copies of a task of `DIGITS`: other last digits."""
    first = [int(digit) for digit in task.prompt[-4:-2]]
    tails = rng.sample(range(100), count)
    return [_digits(task.skill, rng, [*first, tail // 10, tail % 10]) for tail in tails]
