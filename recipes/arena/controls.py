"""Controls that no user would train with, as a plugin: an oracle, and a memory paid at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.contract import PromptCurriculum
from sparft_plugin.curriculum.records import Groups
from sparft_plugin.hookspecs import hookimpl
from sparft_plugin.memory.base import MemoryGroup, Terms
from sparft_plugin.memory.memory_r_plus import MemoryRPlus

ROLLOUTS = 8


@dataclass(eq=False)
class Oracle(PromptCurriculum):
    """Draw prompts in proportion to their true chance of a mixed group, without replacement.

    The chance is 1 - p^8 - (1 - p)^8. The pass rates p are told before every draw and cost
    nothing, which is why it is no method; a prompt whose reward is chance has p = 0.
    """

    needs_group: ClassVar[bool] = True

    rates: NDArray[np.float64] = field(init=False, repr=False)
    """True pass rate of every prompt, shape (n,), set from outside before each draw."""

    def begin(self) -> None:
        """Nobody has told the pass rates yet."""
        self.rates = np.full(len(self.pool), 0.5)

    def score_prompts(self, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Gumbel noise on the log of the chance: the n highest are such a draw."""
        p = self.rates[positions]
        chance = 1 - p**ROLLOUTS - (1 - p) ** ROLLOUTS
        return np.log(np.maximum(chance, 1e-12)) + self.rng.gumbel(size=len(positions))

    def update_prompts(self, groups: Groups) -> None:
        """Learn nothing: it is told."""


@dataclass(eq=False)
class ShuffledMemory(MemoryRPlus):
    """Memory-R+ whose terms are dealt to the rollouts of their group at random.

    The random-reward control: doses are the memory's, and say nothing of the response.
    """

    name: ClassVar[str] = "memory_shuffled"

    def terms(self, groups: Sequence[MemoryGroup]) -> list[Terms]:
        """Shuffle the total of every group by a generator of the step."""
        rng = np.random.default_rng([self.step, 7])
        return [
            Terms(term.exploit, term.explore, rng.permutation(term.total))
            for term in super().terms(groups)
        ]


@hookimpl
def register_curricula() -> dict[str, type[Any]]:
    """Offer the oracle."""
    return {"oracle": Oracle}


@hookimpl
def register_intrinsic_rewards() -> dict[str, type[Any]]:
    """Offer the placebo."""
    return {"memory_shuffled": ShuffledMemory}
