"""What passes between a curriculum and its host: prompts, picks, outcomes, finished groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError


class Prompt(NamedTuple):
    """A training row as a curriculum sees it."""

    id: str
    """Content hash of the prompt (``prompts.prompt_id``)."""
    arm: int = 0
    """Cluster the prompt belongs to, >= 0."""
    difficulty: float | None = None
    """In [0, 1], 0 = always solved; None when no difficulty is known."""


class Pick(NamedTuple):
    """One selection of a prompt; ``pick_id`` counts up from 0 and is never reused."""

    pick_id: int
    prompt: Prompt


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a curriculum is told about a finished group.

    Parameters
    ----------
    pick : Pick
        The selection this group answers.
    accuracies : float array, shape (rollouts,), values in [0, 1]
        Raw accuracy of each rollout, before any intrinsic or shaped reward.
    advantages : float array, shape (rollouts,)
        GRPO advantages inside the group, from the outcome reward.
    model_version : int
        The trainer step whose weights began the group.

    A group that is empty, of other shapes or with a value outside its range is refused.
    """

    pick: Pick
    accuracies: NDArray[np.float64]
    advantages: NDArray[np.float64]
    model_version: int = 0

    def __post_init__(self) -> None:
        name = f"the group of prompt {self.pick.prompt.id}"
        if self.accuracies.ndim != 1 or self.accuracies.size == 0:
            raise SparftError(f"{name} has no rollouts; expire the pick instead of observing it.")
        if self.advantages.shape != self.accuracies.shape:
            raise SparftError(
                f"{name} has {self.accuracies.size} accuracies but {self.advantages.size} "
                "advantages; give one of each per rollout."
            )
        # A NaN fails both comparisons, so it is refused with the rest.
        if not ((self.accuracies >= 0) & (self.accuracies <= 1)).all():
            raise SparftError(
                f"{name} has an accuracy outside [0, 1]: {self.accuracies.tolist()}; return 'acc' "
                "between 0 and 1 from the reward function."
            )
        if not np.isfinite(self.advantages).all():
            raise SparftError(f"{name} has a NaN or infinite advantage; check its rewards.")

    @property
    def pass_rate(self) -> float:
        """Mean accuracy of the group, in [0, 1]."""
        return float(self.accuracies.mean())


@dataclass(frozen=True, eq=False)
class Groups:
    """m groups of one observation, in the order of their picks."""

    outcomes: Sequence[Outcome]
    """The groups one by one."""
    prompts: NDArray[np.int64]
    """Position of each group's prompt in the pool, shape (m,); one prompt may come twice."""
    arms: NDArray[np.int64]
    """Arm of each group, shape (m,)."""
    rollouts: NDArray[np.int64]
    """Rollouts of each group, shape (m,), >= 1."""
    solved: NDArray[np.float64]
    """Sum of the accuracies of each group, shape (m,)."""
    abs_advantages: NDArray[np.float64]
    """Mean absolute advantage of each group, shape (m,), >= 0."""

    @classmethod
    def of(
        cls, outcomes: Sequence[Outcome], prompts: NDArray[np.int64], arms: NDArray[np.int64]
    ) -> Groups:
        """Add up outcomes, at least one."""
        rollouts = np.array([outcome.accuracies.size for outcome in outcomes], dtype=np.int64)
        starts = np.cumsum(rollouts) - rollouts
        solved = np.add.reduceat(np.concatenate([o.accuracies for o in outcomes]), starts)
        doses = np.abs(np.concatenate([o.advantages for o in outcomes]))
        return cls(
            outcomes, prompts, arms, rollouts, solved, np.add.reduceat(doses, starts) / rollouts
        )

    def __len__(self) -> int:
        return len(self.outcomes)

    @property
    def pass_rates(self) -> NDArray[np.float64]:
        """Mean accuracy of each group, shape (m,), in [0, 1]."""
        return self.solved / self.rollouts

    def mean_by_arm(
        self, values: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The arms that have groups, increasing, and the mean of a value over their groups."""
        arms, inverse = np.unique(self.arms, return_inverse=True)
        totals = np.bincount(inverse, values)
        return arms, totals / np.bincount(inverse)
