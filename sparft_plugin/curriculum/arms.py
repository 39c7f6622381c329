"""The middle class of bandits over clusters: a method is a score and an update."""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.base import Curriculum
from sparft_plugin.curriculum.records import Outcome, Prompt
from sparft_plugin.curriculum.shuffled_pass import ShuffledPass
from sparft_plugin.errors import SparftError

DRAWS = ("slot", "step")


@dataclass(eq=False)
class ArmCurriculum(Curriculum):
    """A bandit over arms; inside an arm, shuffled passes without replacement.

    A method gives ``score_arms`` and ``update_arm``, and names its arrays in ``arm_state``.

    Parameters
    ----------
    draw : {"slot", "step"}, default "slot"
        Draw an arm for every slot of a batch, or one for the whole batch. A step-wise draw fills
        a batch with repeats of a small arm.
    """

    draw: str = "slot"
    passes: dict[int, ShuffledPass] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        if self.draw not in DRAWS:
            raise SparftError(f"sparft.curriculum.draw='{self.draw}' is not one of {DRAWS}.")

    @abstractmethod
    def score_arms(self) -> NDArray[np.float64]:
        """Score of every arm, shape (arms,); the highest is drawn. May use ``self.rng``."""

    @abstractmethod
    def update_arm(self, arm: int, outcomes: Sequence[Outcome]) -> None:
        """Learn from all groups of one arm in one observation, at least one."""

    @abstractmethod
    def arm_state(self) -> dict[str, NDArray[Any]]:
        """The method's own arrays by attribute name, each of shape (arms,)."""

    def begin(self) -> None:
        """Make one shuffled pass per arm."""
        members: dict[int, list[Prompt]] = defaultdict(list)
        for prompt in self.prompts:
            members[prompt.arm].append(prompt)
        self.passes = {arm: ShuffledPass(prompts) for arm, prompts in sorted(members.items())}

    def choose(self, n: int) -> list[Prompt]:
        """Draw an arm per slot or per step, then the next prompt of its pass."""
        if self.draw == "step":
            arms = [self._draw_arm()] * n
        else:
            arms = [self._draw_arm() for _ in range(n)]
        return [self.passes[arm].next(self.rng) for arm in arms]

    def _draw_arm(self) -> int:
        scores = np.full(self.n_arms, -np.inf)
        filled = list(self.passes)
        scores[filled] = self.score_arms()[filled]
        return int(np.argmax(scores))

    def learn(self, outcomes: Sequence[Outcome]) -> None:
        """Update each arm once, from all of its groups."""
        by_arm: dict[int, list[Outcome]] = defaultdict(list)
        for outcome in outcomes:
            by_arm[outcome.pick.prompt.arm].append(outcome)
        for arm in sorted(by_arm):
            self.update_arm(arm, by_arm[arm])

    def rule_state(self) -> dict[str, Any]:
        """Passes in progress and the method's arrays."""
        return {
            "passes": {str(arm): list(p.left) for arm, p in self.passes.items()},
            **{name: values.tolist() for name, values in self.arm_state().items()},
        }

    def load_rule_state(self, state: Mapping[str, Any]) -> None:
        """Restore passes and arrays."""
        for arm, shuffled in self.passes.items():
            shuffled.left = list(state["passes"][str(arm)])
        for name, values in self.arm_state().items():
            setattr(self, name, np.asarray(state[name], dtype=values.dtype))
