"""A learner by item response theory, skill by arm grown by mixed groups, and its scenarios."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum import PromptPool
from sparft_plugin.curriculum.learnability import within_spread
from sparft_plugin.simulate.run import Setting, World, measured, numbered

WIDTH = 16
"""Dimensions of the embeddings that curricula are shown."""
HELD_OUT = 20
"""Prompts of each arm in the target distribution."""


@dataclass(frozen=True)
class Scenario(Setting):
    """A pool of prompts and a learner; see ``Learner`` for the formulas.

    Parameters
    ----------
    arms, prompts_per_arm : int >= 1
        Size of the pool.
    easiest, hardest : float, default -2 and 2
        Mean difficulty, in logits, of the easiest and the hardest arm; the others lie between at
        equal steps. The learner starts with skill 0.
    spread : float >= 0, default 0.5
        Standard deviation of difficulty inside an arm.
    discrimination : float > 0, default 1.5
        Slope of the pass rate in skill minus difficulty.
    learning_rate : float > 0, default 0.5
        Skill that an arm gains by a batch of its own groups, all half right.
    unlearnable_arms, saturated_arms : int >= 0, default 0
        Further arms that never pass, and that always do.
    unlearnable_share, saturated_share : float in [0, 1], default 0
        Share of the prompts of every other arm that never pass, and that always do.
    transfer : float in [0, 1], default 0
        Share of an arm's gain that the next harder arm gains too.
    forgetting : float in [0, 1), default 0
        Share of what was learned that every arm loses in a step.
    """

    arms: int = 10
    prompts_per_arm: int = 30
    easiest: float = -2.0
    hardest: float = 2.0
    spread: float = 0.5
    discrimination: float = 1.5
    learning_rate: float = 0.5
    unlearnable_arms: int = 0
    saturated_arms: int = 0
    unlearnable_share: float = 0.0
    saturated_share: float = 0.0
    transfer: float = 0.0
    forgetting: float = 0.0

    def world(self, seed: int) -> World:
        """Make the learner of a seed."""
        return Learner(self, seed)


LEARNERS = {
    "plain": Scenario("ten arms from easy to hard"),
    "unlearnable": Scenario("three more arms never pass: broken answers", unlearnable_arms=3),
    "saturated": Scenario("ten more arms always pass: known before", saturated_arms=10),
    "scattered": Scenario(
        "in every arm 30 % of the prompts never pass and 30 % always do: arms are topics",
        unlearnable_share=0.3,
        saturated_share=0.3,
    ),
    "transfer": Scenario(
        "hard arms start out of reach and are learned through the easier ones",
        hardest=5.0,
        transfer=0.5,
    ),
    "drift": Scenario("2 % of what was learned is forgotten in every step", forgetting=0.02),
    "late": Scenario("groups come back eight steps late", delay=8),
}
"""Fixed before any method was run on them."""


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
        difficulties = measured(self.pass_rates(np.arange(n)), rng)
        # Topic and difficulty both show in a text, and neither shows cleanly.
        topics = rng.standard_normal((len(self.kinds), WIDTH))
        hardness = rng.standard_normal(WIDTH)
        vectors = topics[arms] + 0.5 * self.difficulties[:, None] * hardness
        vectors += 0.5 * rng.standard_normal((n, WIDTH))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        self.pool = PromptPool(numbered(n), arms, difficulties, vectors.astype(np.float32))

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
