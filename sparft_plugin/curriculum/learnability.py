"""Learnability: pick the prompts whose next group is most likely to be mixed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.contract import PromptCurriculum, per_arm, per_prompt, per_run
from sparft_plugin.curriculum.options import number, whole
from sparft_plugin.curriculum.pool import Members
from sparft_plugin.curriculum.records import Groups

FIRST_GROUP_SIZE = 8
PRIOR_GROUPS, PRIOR_CORRELATION = 8, 0.2
SMALLEST, LARGEST = 0.02, 0.98


@dataclass(eq=False)
class LearnabilityCurriculum(PromptCurriculum):
    """Prefer prompts that some rollouts solve and others do not: only those move the policy.

    With pass rate p, a group of G rollouts is mixed with probability u(p) = 1 - p^G - (1 - p)^G.
    Here p has a posterior in two levels, and u is taken of a draw from it (Thompson sampling):

        m_k ~ Beta(1 + R_k, 1 + W_k)                   mean pass rate of arm k, once per batch
        p_i ~ Beta(s m_k + r_i, s (1 - m_k) + w_i)     pass rate of prompt i of arm k
        the prompts with the highest u(p_i) are picked

    r_i and w_i count the right and wrong rollouts of the prompt, R_k and W_k those of the arm, a
    group of n rollouts divided by 1 + (n - 1) rho, since rollouts of one prompt say less about
    the arm than those of many. All counts are multiplied by ``discount`` at every observation,
    because the learner changes. s = (1 - rho) / rho is the strength of the arm as a prior; rho,
    the share of the spread of pass rates that lies between prompts of an arm, is estimated by
    moments from c right of n in each group, the sums discounted too (empirical Bayes):

        1 - rho = sum c (n - c) / (n (n - 1))  /  sum m_k (1 - m_k)

    A prompt that always or never passes comes back by itself as its counts fade, and every slot
    goes with probability ``floor`` to any prompt of an arm drawn evenly, so that no arm starves.
    Ours; the utility is that of DAPO's filter, https://arxiv.org/abs/2503.14476, section 3.2.

    Parameters
    ----------
    group_size : int >= 2 or None, default None
        G; None takes the median of the last groups observed, 8 before the first.
    discount : float in (0, 1], default 0.97
        Weight of a count after one more observation (a training step); 0.97 halves it in 23.
    floor : float in [0, 1], default 0.1
        Share of the slots that is spread evenly over the arms, whatever their utility.
    prior_strength : float > 0 or None, default None
        s, in rollouts; None estimates it.
    candidates : int >= 1 or None, default 32
        See ``PromptCurriculum``.
    """

    paper: ClassVar[str] = "ours"
    unit: ClassVar[str] = "prompt and arm"
    signal: ClassVar[str] = "right and wrong rollouts"
    use: ClassVar[str] = "some prompts or arms may be hopeless, or solved already"

    candidates: int | None = 32
    group_size: int | None = whole(None, 2)
    discount: float = number(0.97, 0, 1, open_low=True)
    floor: float = number(0.1, 0, 1)
    prior_strength: float | None = number(None, 0, open_low=True)
    arm_right: NDArray[np.float64] = per_arm()
    arm_wrong: NDArray[np.float64] = per_arm()
    right: NDArray[np.float32] = per_prompt(0, np.float32)
    wrong: NDArray[np.float32] = per_prompt(0, np.float32)
    when: NDArray[np.int32] = per_prompt(0, np.int32)
    """Observation at which the counts of each prompt were last brought up to date."""
    within: float = per_run(0.0)
    whole: float = per_run(0.0)
    """The sums behind rho."""
    group: int = per_run(FIRST_GROUP_SIZE)
    """G, as it is now."""
    members: Members = field(init=False, repr=False)

    def begin(self) -> None:
        """Sort the prompts by arm."""
        if self.group_size is not None:
            self.group = self.group_size
        self.members = Members(self.pool.arms)

    @property
    def rho(self) -> float:
        """Share of the spread of pass rates that lies between the prompts of an arm."""
        if self.prior_strength is not None:
            return 1 / (1 + self.prior_strength)
        return correlation(self.within, self.whole)

    @property
    def arm_mean(self) -> NDArray[np.float64]:
        """Posterior mean pass rate of every arm, shape (arms,)."""
        return (1 + self.arm_right) / (2 + self.arm_right + self.arm_wrong)

    def score_prompts(self, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Utility of a pass rate drawn for each prompt, in [0, 1]."""
        means = self.rng.beta(1 + self.arm_right, 1 + self.arm_wrong)
        drawn = self.rng.beta(*self._posterior(positions, means))
        return mixed(drawn, self.group)

    def _posterior(
        self, positions: NDArray[np.int64], arm_means: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Both parameters of the Beta of some prompts, given the mean of every arm."""
        strength = 1 / self.rho - 1
        faded = self.discount ** (self.when.max() - self.when[positions])
        # Away from 0 and 1, where a Beta has no density to draw from.
        prior = np.clip(arm_means[self.pool.arms[positions]], 1e-6, 1 - 1e-6)
        return (
            strength * prior + faded * self.right[positions],
            strength * (1 - prior) + faded * self.wrong[positions],
        )

    def _best(self, n: int) -> NDArray[np.int64]:
        """Some prompts of arms drawn evenly, and for the rest the best candidates."""
        filled = np.flatnonzero(self.members.sizes)
        arms = filled[self.rng.integers(len(filled), size=self.rng.binomial(n, self.floor))]
        places = self.members.starts[arms] + self.rng.integers(self.members.sizes[arms])
        given = np.unique(self.members.order[places])
        positions = np.union1d(given, self._candidates(n))
        scores = self.score_prompts(positions)
        scores[np.searchsorted(positions, given)] = np.inf
        return self._keep(positions, scores, n)

    def update_prompts(self, groups: Groups) -> None:
        """Fade all counts by one observation, then add the groups."""
        if self.group_size is None:
            self.group = max(2, int(np.median(groups.rollouts)))
        now = int(self.when.max()) + 1
        wrong = groups.rollouts - groups.solved
        weights = 1 / (1 + (groups.rollouts - 1) * self.rho)
        self.arm_right *= self.discount
        self.arm_wrong *= self.discount
        self.arm_right += np.bincount(groups.arms, weights * groups.solved, self.n_arms)
        self.arm_wrong += np.bincount(groups.arms, weights * wrong, self.n_arms)
        means, several = self.arm_mean[groups.arms], groups.rollouts > 1
        self.within = self.discount * self.within + float(within_spread(groups.solved, wrong).sum())
        self.whole = self.discount * self.whole + float((means * (1 - means))[several].sum())
        seen, inverse = np.unique(groups.prompts, return_inverse=True)
        faded = self.discount ** (now - self.when[seen])
        self.right[seen] = faded * self.right[seen] + np.bincount(inverse, groups.solved)
        self.wrong[seen] = faded * self.wrong[seen] + np.bincount(inverse, wrong)
        self.when[seen] = now

    def metrics(self) -> dict[str, float]:
        """Add posterior mean and expected utility per arm, prior strength and group size."""
        utility = expected_mixed(1 + self.arm_right, 1 + self.arm_wrong, self.group)
        return (
            super().metrics()
            | self.arm_metrics("posterior_mean", self.arm_mean)
            | self.arm_metrics("expected_utility", utility)
            | {"prior_strength": 1 / self.rho - 1, "group_size": float(self.group)}
        )


def mixed(pass_rates: NDArray[np.float64], group_size: int) -> NDArray[np.float64]:
    """Chance that a group is neither all right nor all wrong: 1 - p^G - (1 - p)^G."""
    return 1 - pass_rates**group_size - (1 - pass_rates) ** group_size


def expected_mixed(
    right: NDArray[np.float64], wrong: NDArray[np.float64], group_size: int
) -> NDArray[np.float64]:
    """Mean of ``mixed`` over p ~ Beta(right, wrong), shapes (m,).

    E p^G = prod over j < G of (right + j) / (right + wrong + j), and so for 1 - p.
    """
    steps = np.arange(group_size)
    total = (right + wrong)[:, None] + steps
    all_right = np.prod((right[:, None] + steps) / total, axis=1)
    all_wrong = np.prod((wrong[:, None] + steps) / total, axis=1)
    chance: NDArray[np.float64] = 1 - all_right - all_wrong
    return chance


def within_spread(right: NDArray[np.float64], wrong: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unbiased estimate of p (1 - p) from each group of two or more rollouts, shape (m,).

    c (n - c) / (n (n - 1)) for c right of n; 0 for a group of one, which says nothing.
    """
    n = right + wrong
    spread: NDArray[np.float64] = right * wrong / np.maximum(n * (n - 1), 1)
    return np.where(n > 1, spread, 0.0)


def correlation(within: float, whole: float) -> float:
    """Share of the spread of pass rates that lies between prompts, in [0.02, 0.98].

    1 - within / whole, of sums over groups of ``within_spread`` and of m (1 - m), with m the mean
    of the group's arm; with a prior as heavy as 8 groups of an arm of mean 1/2, correlation 0.2.
    """
    weight = PRIOR_GROUPS / 4
    share = 1 - (within + weight * (1 - PRIOR_CORRELATION)) / (whole + weight)
    return min(LARGEST, max(SMALLEST, share))
