"""The middle class of bandits over clusters: a method is a score and an update."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.base import Curriculum
from sparft_plugin.curriculum.groups import Groups
from sparft_plugin.curriculum.passes import Passes, rank_among_equals
from sparft_plugin.curriculum.state import Remap
from sparft_plugin.errors import SparftError

DRAWS = ("slot", "step")


@dataclass(eq=False)
class ArmCurriculum(Curriculum):
    """A bandit over arms; inside an arm, shuffled passes without replacement.

    A method gives ``score_arms`` and ``update_arms``, and names its arrays in ``arm_arrays``.

    Parameters
    ----------
    draw : {"slot", "step"}, default "slot"
        Draw an arm for every slot of a batch, or one for the whole batch. An arm that has given
        all its prompts to a batch is closed for the rest of it; a step-wise draw then takes
        another.
    """

    draw: str = "slot"
    passes: Passes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.draw not in DRAWS:
            raise SparftError(f"sparft.curriculum.draw='{self.draw}' is not one of {DRAWS}.")

    @abstractmethod
    def score_arms(self) -> NDArray[np.float64]:
        """Log-weight of every arm, shape (arms,); arms are drawn by the softmax of it."""

    @abstractmethod
    def update_arms(self, groups: Groups) -> None:
        """Learn from all groups of one observation, at least one."""

    def draw_arms(self, n: int, open_arms: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Draw arms; a method that does not draw by a softmax overrides this.

        Parameters
        ----------
        n : int >= 1
            Arms to draw, independently.
        open_arms : ndarray of bool, shape (arms,)
            Arms that may be drawn, at least one.

        Returns
        -------
        ndarray of int64, shape (n,)
        """
        scores = np.where(open_arms, self.score_arms(), -np.inf)
        weights = np.exp(scores - scores.max())
        return self.rng.choice(len(weights), size=n, p=weights / weights.sum())

    def begin(self) -> None:
        """Start the first pass of every arm."""
        self.passes = Passes(self.pool.arms)

    def choose(self, n: int) -> NDArray[np.int64]:
        """Draw an arm per slot or per step, then the next prompt of its pass."""
        return self.passes.batch(self._arms(n), self.rng)

    def _arms(self, n: int) -> NDArray[np.int64]:
        """Arms of n slots, none more often than it has prompts if the pool has n, shape (n,)."""
        room = self.passes.sizes * -(-n // len(self.pool))
        found = np.empty(0, dtype=np.int64)
        while len(found) < n:
            wanted = n - len(found)
            drawn = self.draw_arms(wanted if self.draw == "slot" else 1, room > 0)
            if self.draw == "step":
                drawn = np.repeat(drawn, min(wanted, int(room[drawn[0]])))
            fits = drawn[rank_among_equals(drawn) < room[drawn]]
            room -= np.bincount(fits, minlength=len(room))
            found = np.concatenate([found, fits])
        return found

    def learn(self, groups: Groups) -> None:
        """Pass the groups on to the rule."""
        self.update_arms(groups)

    def rule_state(self) -> dict[str, Any]:
        """The passes in progress."""
        return self.passes.state()

    def load_rule_state(self, state: Mapping[str, Any], remap: Remap) -> None:
        """Restore the passes; over a changed pool they begin anew."""
        if remap.same_pool:
            self.passes.load(state)

    def arm_metrics(self, name: str, values: NDArray[np.floating]) -> dict[str, float]:
        """One metric per arm: ``arm_3/posterior_mean``."""
        return {f"arm_{arm}/{name}": float(value) for arm, value in enumerate(values)}
