"""A real policy, small: a network over skills that GRPO trains, and its scenarios."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum import PromptPool
from sparft_plugin.simulate.run import Setting, World, advantages, measured, numbered

Float = NDArray[np.float64]
ANSWERS, WIDTH, HIDDEN, HELD_OUT = 8, 16, 64, 64
LEARN, SOLVED, BROKEN = range(8), range(8, 14), range(14, 20)
"""Skills to learn, that are solved, and whose truths are broken."""
START = np.r_[np.linspace(0.08, 0.4, len(LEARN)), [0.985] * len(SOLVED), [0.25] * len(BROKEN)]
"""Share of right answers before training, by skill."""
RARE = 0.002
"""Chance of an answer that is neither right nor the skill's habit."""
WARM_STEPS, WARM_RATE = 300, 0.01


@dataclass(frozen=True)
class PolicyScenario(Setting):
    """A pool of prompts for a policy; see ``Policy``.

    Parameters
    ----------
    solved, broken : float in [0, 1], default 0
        Share of the prompts whose skill is solved before training, and whose truth is an answer
        that is hardly ever given. The others are of skills that start at .08 to .40.
    blind : bool, default False
        Arms are drawn at random and say nothing of skills.
    prompts : int >= 1, default 600
        Size of the pool.
    learning_rate : float > 0, default 0.002
        Of Adam.
    """

    steps: int = 80
    batch_size: int = 16
    solved: float = 0.0
    broken: float = 0.0
    blind: bool = False
    prompts: int = 600
    learning_rate: float = 0.002

    def world(self, seed: int) -> World:
        """Make the policy of a seed."""
        return Policy(self, seed)


POLICIES = {
    "policy_healthy": PolicyScenario("a policy that GRPO trains; every skill can be learned"),
    "policy_late": PolicyScenario(
        "a policy that GRPO trains; 15 % to learn, 45 % solved, 40 % with broken truths",
        solved=0.45,
        broken=0.4,
    ),
    "policy_blind": PolicyScenario(
        "the same, and arms say nothing of skills", solved=0.45, broken=0.4, blind=True
    ),
}


class Policy:
    """Chooses one of eight answers to a prompt by softmax(tanh(x A + a) C + c).

    x holds a vector of the prompt's skill and one of its question, which is one of eight with
    noise; what is right depends on both. Each skill has a habit too, which is wrong. A warm start
    teaches the share of right answers that each skill begins with. Each step of GRPO follows, by
    Adam, the gradient of the mean over rollouts of advantage * log P(right, or wrong), which is the
    expectation over the wrong answers there are. The target distribution holds new prompts of the
    skills to learn, evenly.

    Parameters
    ----------
    scenario : PolicyScenario
        The pool and the numbers above.
    seed : int
        Seed of pool and policy.
    """

    def __init__(self, scenario: PolicyScenario, seed: int = 0) -> None:
        rng = np.random.default_rng([seed, 0])
        self.scenario = scenario
        self._skills = rng.standard_normal((len(START), WIDTH))
        self._questions = rng.standard_normal((ANSWERS, WIDTH))
        self._answers = rng.random((len(START), ANSWERS, ANSWERS)).argsort(axis=2)[..., :3]
        """Right, habitual and third answer to each question of each skill."""
        self.weights = [
            rng.standard_normal((2 * WIDTH, HIDDEN)) / np.sqrt(2 * WIDTH),
            np.zeros(HIDDEN),
            np.zeros((HIDDEN, ANSWERS)),
            np.zeros(ANSWERS),
        ]
        """A, a, C and c."""
        self._warm_start(rng)
        solved, broken = scenario.solved, scenario.broken
        parts = ((LEARN, 1 - solved - broken), (SOLVED, solved), (BROKEN, broken))
        ends = np.cumsum([share / len(skills) for skills, share in parts for _ in skills])
        places = (np.arange(scenario.prompts) + 0.5) / scenario.prompts
        skills = rng.permutation(np.searchsorted(ends, places))
        self._inputs, answers = self._draw(skills, rng)
        self._truths = np.where(np.isin(skills, BROKEN), answers[:, 2], answers[:, 0])
        held_out, answers = self._draw(np.repeat(LEARN, HELD_OUT), rng)
        self._held_out = held_out, answers[:, 0]
        present, arms = np.unique(skills, return_inverse=True)
        self.learned = np.isin(present, LEARN) | scenario.blind
        if scenario.blind:
            arms = rng.permutation(arms)
        units = self._inputs / np.linalg.norm(self._inputs, axis=1, keepdims=True)
        self.pool = PromptPool(
            numbered(len(skills)),
            arms.astype(np.int32),
            measured(self.pass_rates(np.arange(len(skills))), rng),
            units.astype(np.float32),
        )

    def _draw(
        self, skills: Sequence[int] | NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[Float, NDArray[np.int64]]:
        """Prompts of these skills, shape (n, 2 WIDTH), and the three answers to each, (n, 3)."""
        questions = rng.integers(ANSWERS, size=len(skills))
        vectors = self._questions[questions] + 0.5 * rng.standard_normal((len(skills), WIDTH))
        inputs = np.hstack([self._skills[skills], vectors])
        return inputs, self._answers[skills, questions]

    def _warm_start(self, rng: np.random.Generator) -> None:
        """Teach each skill its share of right answers, and its habit for the rest."""
        self._restart()
        skills = np.repeat(np.arange(len(START)), 2 * ANSWERS)
        rows = np.arange(len(skills))
        for _ in range(WARM_STEPS):
            inputs, answers = self._draw(skills, rng)
            wanted = np.full((len(rows), ANSWERS), RARE)
            wanted[rows, answers[:, 0]] = START[skills]
            wanted[rows, answers[:, 1]] += 1 - wanted.sum(axis=1)
            hidden, chances = self._forward(inputs)
            slopes = self._backward(inputs, hidden, (wanted - chances) / len(rows))
            self._climb(slopes, WARM_RATE)
        self._restart()

    def _restart(self) -> None:
        """Forget Adam's moments."""
        self._moments = [(np.zeros_like(w), np.zeros_like(w)) for w in self.weights]
        self._steps = 0

    def _forward(self, inputs: Float) -> tuple[Float, Float]:
        """Hidden layer, shape (n, HIDDEN), and chance of every answer, shape (n, ANSWERS)."""
        first, first_bias, second, second_bias = self.weights
        hidden = np.tanh(inputs @ first + first_bias)
        logits = hidden @ second + second_bias
        chances = np.exp(logits - logits.max(axis=1, keepdims=True))
        chances /= chances.sum(axis=1, keepdims=True)
        return hidden, chances

    def _backward(self, inputs: Float, hidden: Float, by_logit: Float) -> list[Float]:
        """Gradient by every weight, given that by the logits, shape (n, ANSWERS)."""
        inner = (by_logit @ self.weights[2].T) * (1 - hidden**2)
        return [inputs.T @ inner, inner.sum(axis=0), hidden.T @ by_logit, by_logit.sum(axis=0)]

    def _climb(self, slopes: list[Float], rate: float) -> None:
        """Take one step of Adam uphill."""
        self._steps += 1
        scale = rate * np.sqrt(1 - 0.999**self._steps) / (1 - 0.9**self._steps)
        for weight, (mean, square), slope in zip(self.weights, self._moments, slopes, strict=True):
            mean += 0.1 * (slope - mean)
            square += 0.001 * (slope**2 - square)
            weight += scale * mean / (np.sqrt(square) + 1e-8)

    def _right(self, inputs: Float, truths: NDArray[np.int64]) -> Float:
        found: Float = self._forward(inputs)[1][np.arange(len(truths)), truths]
        return found

    def pass_rates(self, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Pass rate of some prompts of the pool now."""
        return self._right(self._inputs[positions], self._truths[positions])

    def gradient(
        self, positions: NDArray[np.int64], accuracies: NDArray[np.float64]
    ) -> list[NDArray[np.float64]]:
        """Gradient of GRPO's objective by ``weights``, for groups of right and wrong rollouts."""
        inputs, rows = self._inputs[positions], np.arange(len(positions))
        hidden, chances = self._forward(inputs)
        right = chances[rows, self._truths[positions]][:, None]
        # d log p and d log (1 - p) by the logits are (truth - chances) times these.
        odds = np.where(accuracies == 1, 1.0, -right / np.maximum(1 - right, 1e-12))
        by_logit = -chances
        by_logit[rows, self._truths[positions]] += 1
        by_logit *= (advantages(accuracies) * odds).mean(axis=1, keepdims=True) / len(rows)
        return self._backward(inputs, hidden, by_logit)

    def train(self, positions: NDArray[np.int64], accuracies: NDArray[np.float64]) -> None:
        """Take one step on groups, accuracies of shape (groups, rollouts)."""
        self._climb(self.gradient(positions, accuracies), self.scenario.learning_rate)

    def target_pass_rate(self) -> float:
        """Pass rate on the target distribution."""
        return float(self._right(*self._held_out).mean())
