"""Uniform: shuffled passes over the whole pool, the honest baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sparft_plugin.curriculum.base import Curriculum
from sparft_plugin.curriculum.records import Outcome, Prompt
from sparft_plugin.curriculum.shuffled_pass import ShuffledPass


@dataclass(eq=False)
class UniformCurriculum(Curriculum):
    """Every prompt once in random order, then again; learns nothing.

    The control that SPaRFT's paper leaves out: the same prompts, no bandit.
    """

    shuffled: ShuffledPass = field(init=False, repr=False)

    def begin(self) -> None:
        """Start the first pass."""
        self.shuffled = ShuffledPass(self.prompts)

    def choose(self, n: int) -> list[Prompt]:
        """Return the next n prompts of the pass."""
        return [self.shuffled.next(self.rng) for _ in range(n)]

    def learn(self, outcomes: Sequence[Outcome]) -> None:
        """Nothing to learn."""

    def rule_state(self) -> dict[str, Any]:
        """The pass in progress."""
        return {"left": list(self.shuffled.left)}

    def load_rule_state(self, state: Mapping[str, Any]) -> None:
        """Restore the pass."""
        self.shuffled.left = list(state["left"])
