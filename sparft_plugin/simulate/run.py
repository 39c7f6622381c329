"""One run: a curriculum chooses, a world answers and learns."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum import Curriculum, Outcome, Pick, PromptPool

EPSILON = 1e-6


class World(Protocol):
    """What answers and learns in place of a model."""

    @property
    def pool(self) -> PromptPool:
        """The prompts."""

    @property
    def learned(self) -> NDArray[np.bool_]:
        """Arms that training can change, shape (arms,)."""

    def pass_rates(self, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Pass rate of some prompts of the pool now."""

    def train(self, positions: NDArray[np.int64], accuracies: NDArray[np.float64]) -> None:
        """Take one step on groups, accuracies of shape (groups, rollouts)."""

    def target_pass_rate(self) -> float:
        """Pass rate on the target distribution."""


@dataclass(frozen=True, eq=False)
class Trace:
    """What happened in a run of t steps."""

    pass_rates: NDArray[np.float64]
    """On the target distribution before training and after each step, shape (t + 1,)."""
    wasted: NDArray[np.float64]
    """Share of the groups of each step that are all right or all wrong, shape (t,)."""
    picks: NDArray[np.int64]
    """Picks of each arm in each step, shape (t, arms)."""


def simulate(
    curriculum: Curriculum,
    world: World,
    *,
    steps: int,
    batch_size: int,
    group_size: int,
    delay: int = 0,
    seed: int = 0,
) -> Trace:
    """Train a world by a curriculum that was started on its pool.

    Each step selects a batch, rolls out a group of Bernoulli accuracies for each pick, and trains
    on it at once; the curriculum is told of it ``delay`` steps later. Advantages are GRPO's.
    """
    rng = np.random.default_rng([seed, 1])
    pool, arms = world.pool, world.pool.n_arms
    rates, wasted = [world.target_pass_rate()], np.zeros(steps)
    picked = np.zeros((steps, arms), dtype=np.int64)
    late: deque[list[Outcome]] = deque()
    for step in range(steps):
        picks = curriculum.select(batch_size)
        positions = np.searchsorted(pool.ids, [pick.prompt.id.encode() for pick in picks])
        chances = world.pass_rates(positions)[:, None]
        accuracies = (rng.random((batch_size, group_size)) < chances).astype(np.float64)
        right = accuracies.sum(axis=1)
        wasted[step] = np.mean((right == 0) | (right == group_size))
        picked[step] = np.bincount(pool.arms[positions], minlength=arms)
        world.train(positions, accuracies)
        rates.append(world.target_pass_rate())
        late.append(_outcomes(picks, accuracies, step))
        if len(late) > delay:
            curriculum.observe(late.popleft())
    return Trace(np.array(rates), wasted, picked)


def _outcomes(picks: list[Pick], accuracies: NDArray[np.float64], step: int) -> list[Outcome]:
    centred = accuracies - accuracies.mean(axis=1, keepdims=True)
    advantages = centred / (accuracies.std(axis=1, ddof=1, keepdims=True) + EPSILON)
    return [
        Outcome(pick, accuracies[i], advantages[i], model_version=step)
        for i, pick in enumerate(picks)
    ]
