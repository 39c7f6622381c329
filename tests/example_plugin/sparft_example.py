"""A curriculum and a selector of one's own, and the two hooks that register them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum import Curriculum, Outcome, Prompt
from sparft_plugin.curriculum.shuffled_pass import ShuffledPass
from sparft_plugin.hookspecs import hookimpl
from sparft_plugin.reduction.selectors import Members, Selector


@dataclass
class RoundRobin(Curriculum):
    """Visit the arms in turn, so that every arm gets the same share; learns nothing."""

    passes: list[ShuffledPass] = field(init=False, repr=False)
    turn: int = field(init=False, repr=False, default=0)

    def begin(self) -> None:
        """Make one shuffled pass per arm that has prompts."""
        arms = sorted({prompt.arm for prompt in self.prompts})
        self.passes = [ShuffledPass([p for p in self.prompts if p.arm == arm]) for arm in arms]
        self.turn = 0

    def choose(self, n: int) -> list[Prompt]:
        """Return the next prompt of n arms in turn."""
        turns = range(self.turn, self.turn + n)
        self.turn += n
        return [self.passes[turn % len(self.passes)].next(self.rng) for turn in turns]

    def learn(self, outcomes: Sequence[Outcome]) -> None:
        """Nothing to learn."""

    def rule_state(self) -> dict[str, Any]:
        """Whose turn it is, and the passes in progress."""
        return {"turn": self.turn, "left": [list(shuffled.left) for shuffled in self.passes]}

    def load_rule_state(self, state: Mapping[str, Any]) -> None:
        """Restore turn and passes."""
        self.turn = state["turn"]
        for shuffled, left in zip(self.passes, state["left"], strict=True):
            shuffled.left = list(left)


@dataclass
class FirstK(Selector):
    """Keep the members of a cluster whose ids come first."""

    nested: ClassVar[bool] = True

    def select(self, members: Members, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Choose min(k, n) members; only their number counts."""
        return np.arange(min(k, len(members)))


@hookimpl
def register_curricula() -> dict[str, type[Any]]:
    """Add ``sparft.curriculum.name=round_robin``."""
    return {"round_robin": RoundRobin}


@hookimpl
def register_selectors() -> dict[str, type[Any]]:
    """Add ``sparft.reduction.selector=first_k``."""
    return {"first_k": FirstK}
