"""Finished groups as columns, so that a rule is a line of array arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.records import Outcome


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
        starts = np.concatenate([[0], np.cumsum(rollouts)[:-1]])
        accuracies = np.concatenate([outcome.accuracies for outcome in outcomes])
        advantages = np.concatenate([outcome.advantages for outcome in outcomes])
        return cls(
            outcomes,
            prompts,
            arms,
            rollouts,
            np.add.reduceat(accuracies, starts),
            np.add.reduceat(np.abs(advantages), starts) / rollouts,
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
        """Mean of a value over the groups of each arm that has any.

        Parameters
        ----------
        values : ndarray of float64, shape (m,)
            One number per group.

        Returns
        -------
        ndarray of int64, shape (a,)
            The arms, increasing.
        ndarray of float64, shape (a,)
            Their means.
        """
        arms, inverse = np.unique(self.arms, return_inverse=True)
        totals = np.bincount(inverse, values)
        return arms, totals / np.bincount(inverse)
