"""A learner by item response theory: skill by arm, grown by mixed groups."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum import PromptPool
from sparft_plugin.curriculum.mixed import within_spread
from sparft_plugin.simulate.scenarios import Scenario

ATTEMPTS = 16
"""Rollouts by which the difficulty that curricula are shown was measured."""
WIDTH = 16
"""Dimensions of the embeddings that curricula are shown."""
HELD_OUT = 20
"""Prompts of each arm in the target distribution."""


class Learner:
    """Passes prompt i of arm k with probability 1 / (1 + exp(-a (skill_k - b_i))).

    Arms that never pass come first, then those that always do, then the others from easy to hard.
    a is the discrimination and b_i ~ Normal(centre of the arm, spread) the difficulty. A step
    trains on B groups of n rollouts, c of them right:

        gain_k  = learning_rate / B * sum over the groups of arm k of 4 c (n - c) / (n (n - 1))
        skill  <- (1 - forgetting) skill + gain @ transfer

    whose expectation is 4 p (1 - p) a group: nothing from groups that are all right or all wrong,
    most at p = 1/2, as for the policy gradient of a Bernoulli reward. Wasted groups dilute the
    batch. The target distribution holds new prompts of the arms that can be learned, evenly.

    Parameters
    ----------
    scenario : Scenario
        The pool and the numbers above.
    seed : int
        Seed of the pool.
    """

    def __init__(self, scenario: Scenario, seed: int = 0) -> None:
        rng = np.random.default_rng([seed, 0])
        self.scenario = scenario
        shares = (scenario.unlearnable_arms, scenario.saturated_arms, scenario.arms)
        self.kinds = np.repeat([0, 1, 2], shares)
        """0 for arms that never pass, 1 for those that always do, 2 for those that are learned."""
        self.learned = self.kinds == 2
        steps = np.linspace(scenario.easiest, scenario.hardest, scenario.arms)
        self.centres = np.zeros(len(self.kinds))
        self.centres[self.learned] = steps
        self.skill = np.zeros(len(self.kinds))
        self._transfer = self._chain()
        self._make_prompts(rng)
        quantiles = [NormalDist().inv_cdf((i + 0.5) / HELD_OUT) for i in range(HELD_OUT)]
        held_out = self.centres[self.learned, None] + scenario.spread * np.array(quantiles)
        self._held_out: NDArray[np.float64] = held_out

    def _chain(self) -> NDArray[np.float64]:
        """Gain of arm j by the gain of arm i, shape (arms, arms)."""
        matrix = np.eye(len(self.kinds))
        order = np.flatnonzero(self.learned)
        matrix[order[:-1], order[1:]] = self.scenario.transfer
        return matrix

    def _make_prompts(self, rng: np.random.Generator) -> None:
        scenario = self.scenario
        arms = np.repeat(np.arange(len(self.kinds)), scenario.prompts_per_arm).astype(np.int32)
        n = len(arms)
        self.difficulties = self.centres[arms] + scenario.spread * rng.standard_normal(n)
        chance = rng.random(n)
        kinds = np.where(chance < scenario.unlearnable_share, 0, 2)
        kinds[chance >= 1 - scenario.saturated_share] = 1
        self._fixed = np.where(self.learned[arms], kinds, self.kinds[arms])
        self._arms = arms
        measured = 1 - rng.binomial(ATTEMPTS, self.pass_rates(np.arange(n))) / ATTEMPTS
        # Topic and difficulty both show in a text, and neither shows cleanly.
        topics = rng.standard_normal((len(self.kinds), WIDTH))
        hardness = rng.standard_normal(WIDTH)
        vectors = topics[arms] + 0.5 * self.difficulties[:, None] * hardness
        vectors += 0.5 * rng.standard_normal((n, WIDTH))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        digits = len(str(n - 1))
        ids = np.array([f"prompt-{i:0{digits}d}".encode() for i in range(n)])
        self.pool = PromptPool(ids, arms, measured, vectors.astype(np.float32))

    def pass_rates(self, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Pass rate of some prompts of the pool now."""
        skill = self.skill[self._arms[positions]]
        rates = self._pass(skill - self.difficulties[positions])
        fixed = self._fixed[positions]
        return np.where(fixed == 2, rates, fixed)

    def train(self, positions: NDArray[np.int64], accuracies: NDArray[np.float64]) -> None:
        """Take one step on groups, accuracies of shape (groups, rollouts)."""
        right = accuracies.sum(axis=1)
        signal = 4 * within_spread(right, accuracies.shape[1] - right)
        gain = np.bincount(self._arms[positions], signal, len(self.kinds)) / len(positions)
        self.skill *= 1 - self.scenario.forgetting
        self.skill += self.scenario.learning_rate * gain @ self._transfer

    def target_pass_rate(self) -> float:
        """Pass rate on the target distribution, exactly."""
        skill = self.skill[self.learned, None]
        return float(self._pass(skill - self._held_out).mean())

    def _pass(self, advance: NDArray[np.float64]) -> NDArray[np.float64]:
        rates: NDArray[np.float64] = 1 / (1 + np.exp(-self.scenario.discrimination * advance))
        return rates
