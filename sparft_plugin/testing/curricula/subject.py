"""What the checks of a curriculum play with: prompts, groups and histories."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum import Curriculum, Outcome, Pick, Prompt, PromptPool
from sparft_plugin.testing.expect import name_of

# Arm 2 has no prompts; arms differ in size.
PROMPTS = tuple(
    Prompt(f"prompt-{arm}-{i}", arm, difficulty=(i + arm) / 10)
    for arm, size in enumerate([4, 2, 0, 5])
    for i in range(size)
)
"""The prompts that a curriculum is checked with."""
NEW_PROMPTS = (Prompt("new-1", 0, 0.5), Prompt("new-2", 1, 0.5), Prompt("only", 0, 0.5))
"""Further prompts that turn up in some checks; a file of numbers by id must know them too."""

Moves = Sequence[tuple[str, int]]
LIFE: Moves = [
    ("select", 9),
    ("observe", 4),
    ("select", 6),
    ("expire", 2),
    ("observe", 5),
    ("select", 3),
]
SEEDS = range(8)


@dataclass(frozen=True)
class Subject:
    """A curriculum under check.

    Parameters
    ----------
    factory : callable
        The class, or a function, that makes a curriculum not yet started.
    options : dict
        What it is called with.
    """

    factory: Callable[..., Curriculum]
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How sentences call it."""
        return name_of(self.factory)

    def make(self, seed: int = 0, prompts: Sequence[Prompt] = PROMPTS) -> Curriculum:
        """Make a started curriculum over prompts with difficulties and embeddings."""
        vectors = [_embedding(prompt.id) for prompt in prompts]
        pool = PromptPool.of(prompts, np.array(vectors, dtype=np.float32))
        return self.factory(**self.options).start(pool, seed)

    def lived(self, seed: int = 0) -> Curriculum:
        """Make a curriculum with some history."""
        curriculum = self.make(seed)
        play(curriculum, LIFE)
        return curriculum


def outcome(pick: Pick) -> Outcome:
    """Make a group whose accuracies depend on the pick alone."""
    rng = np.random.default_rng(pick.pick_id)
    accuracies = rng.integers(0, 2, size=rng.integers(1, 6)).astype(np.float64)
    return Outcome(pick, accuracies, accuracies - accuracies.mean())


def play(curriculum: Curriculum, moves: Moves) -> list[Pick]:
    """Select, observe the latest outstanding picks first, let the earliest expire."""
    made = []
    for move, n in moves:
        waiting = [curriculum.pick(pick_id) for pick_id in sorted(curriculum.outstanding)]
        if move == "select":
            made += curriculum.select(n)
        elif move == "observe":
            curriculum.observe([outcome(pick) for pick in waiting[::-1][:n]])
        else:
            curriculum.expire([pick.pick_id for pick in waiting[:n]])
    return made


def random_moves(seed: int) -> Moves:
    """Up to 15 moves of random sizes."""
    rng = np.random.default_rng(seed)
    names = rng.choice(["select", "observe", "expire"], size=rng.integers(16), p=[0.5, 0.35, 0.15])
    return [(str(name), int(rng.integers(1, 8))) for name in names]


def _embedding(prompt_id: str) -> NDArray[np.float64]:
    """A unit vector that depends on a prompt's id alone."""
    vector = np.random.default_rng(zlib.crc32(prompt_id.encode())).normal(size=4)
    unit: NDArray[np.float64] = vector / np.linalg.norm(vector)
    return unit
