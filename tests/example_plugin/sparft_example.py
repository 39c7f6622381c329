"""A curriculum, a selector and an intrinsic reward of one's own, and the hooks to register them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sparft_example_counts import HashCount

from sparft_plugin.curriculum import Curriculum, Groups, Passes
from sparft_plugin.hookspecs import hookimpl
from sparft_plugin.reduction.selectors import Members, Selector


@dataclass(eq=False)
class RoundRobin(Curriculum):
    """Visit the arms in turn, so that every arm gets the same share; learns nothing."""

    passes: Passes = field(init=False, repr=False)

    def begin(self) -> None:
        """Make one shuffled pass per arm."""
        self.passes = Passes(self.pool.arms)

    def choose(self, n: int) -> NDArray[np.int64]:
        """Return the next prompt of n arms in turn, without those that the batch has used up."""
        arms = np.flatnonzero(self.passes.sizes).tolist()
        room = self.passes.sizes * -(-n // len(self.pool))
        turns: list[int] = []
        turn = self.next_pick_id
        while len(turns) < n:
            arm = arms[turn % len(arms)]
            if room[arm]:
                room[arm] -= 1
                turns.append(arm)
            turn += 1
        return self.passes.batch(np.array(turns), self.rng)

    def learn(self, groups: Groups) -> None:
        """Nothing to learn."""

    def rule_state(self) -> dict[str, Any]:
        """The passes in progress."""
        return self.passes.state()

    def load_rule_state(self, state: Mapping[str, Any], remap: Any) -> None:
        """Restore the passes; over a changed pool they begin anew."""
        if remap.same_pool:
            self.passes.load(state)


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


@hookimpl
def register_intrinsic_rewards() -> dict[str, type[Any]]:
    """Add ``sparft.memory.name=hash_count``."""
    return {"hash_count": HashCount}
