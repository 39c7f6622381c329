"""SPaRFT: Gaussian Thompson sampling over clusters, hardest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.arms import ArmCurriculum
from sparft_plugin.curriculum.best_arm import chance_of_best
from sparft_plugin.curriculum.groups import Groups
from sparft_plugin.errors import SparftError

MANY_DRAWS = 100_000


@dataclass(eq=False)
class SparftCurriculum(ArmCurriculum):
    """Prefer the arms that are solved least, by Thompson sampling on the negated solve rate.

    theta_k ~ Normal(-mu_k, sigma^2 / (n_k + 1)); the arm with the highest theta is drawn. After
    an observation n_k += 1 and mu_k += (r - mu_k) / n_k, with r the solve rate of the arm's
    rollouts. SPaRFT, https://arxiv.org/abs/2508.05015, section on bandit-based assignment;
    sigma and the prior (mu = 0, n = 0) are not stated there and are ours.

    An arm that is never solved keeps the best score there is and starves the others.

    Parameters
    ----------
    sigma : float > 0, default 1.0
        Scale of the posterior; larger explores longer.
    draw : {"slot", "step"}, default "slot"
        See ``ArmCurriculum``.
    """

    paper: ClassVar[str] = "SPaRFT, arXiv:2508.05015"
    unit: ClassVar[str] = "arm"
    signal: ClassVar[str] = "pass rate"
    use: ClassVar[str] = "to reproduce the paper; every arm must be solvable"

    sigma: float = 1.0
    mean: NDArray[np.float64] = field(init=False, repr=False)
    count: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        number = isinstance(self.sigma, (int, float)) and not isinstance(self.sigma, bool)
        if not number or not 0 < self.sigma < np.inf:
            raise SparftError(f"sparft.curriculum.sigma={self.sigma!r} must be positive.")

    def begin(self) -> None:
        """Start from the prior: mean 0, no observations."""
        super().begin()
        self.mean = np.zeros(self.n_arms)
        self.count = np.zeros(self.n_arms, dtype=np.int64)

    def score_arms(self) -> NDArray[np.float64]:
        """Negated posterior mean solve rate, shape (arms,)."""
        return -self.mean

    def draw_arms(self, n: int, open_arms: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Draw every posterior for every slot, and take the best arm of each.

        Where that would be more than 100,000 draws, arms are drawn by the chance of being best,
        which is the same distribution.
        """
        deviations = self.sigma / np.sqrt(self.count + 1)
        drawn: NDArray[np.int64]
        if n * self.n_arms > MANY_DRAWS:
            arms = np.flatnonzero(open_arms)
            chances = chance_of_best(self.score_arms()[arms], deviations[arms])
            drawn = self.rng.choice(arms, size=n, p=chances)
            return drawn
        theta = self.score_arms() + deviations * self.rng.standard_normal((n, self.n_arms))
        theta[:, ~open_arms] = -np.inf
        drawn = theta.argmax(axis=1)
        return drawn

    def update_arms(self, groups: Groups) -> None:
        """Move each arm's running mean by the solve rate over all its rollouts."""
        rollouts = np.bincount(groups.arms, groups.rollouts, self.n_arms)
        solved = np.bincount(groups.arms, groups.solved, self.n_arms)
        arms = np.flatnonzero(rollouts)
        self.count[arms] += 1
        rates = solved[arms] / rollouts[arms]
        self.mean[arms] += (rates - self.mean[arms]) / self.count[arms]

    def arm_arrays(self) -> Sequence[str]:
        """Posterior means and counts."""
        return ("mean", "count")

    def metrics(self) -> dict[str, float]:
        """Add the posterior mean solve rate per arm."""
        return super().metrics() | self.arm_metrics("posterior_mean", self.mean)
