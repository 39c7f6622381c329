"""One run: a curriculum chooses, a world answers and learns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum import Curriculum, Outcome, PromptPool
from sparft_plugin.errors import SparftError

EPSILON = 1e-6
ATTEMPTS = 16
"""Rollouts by which the difficulty that curricula are shown was measured."""


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


@dataclass(frozen=True)
class Setting(ABC):
    """A world to be made for each seed, and how it is trained.

    Parameters
    ----------
    about : str
        One line for people.
    steps, batch_size, group_size : int, defaults 100, 32 and 8
        Length of a run, groups in a step (>= 1) and rollouts in a group (>= 2).
    delay : int >= 0, default 0
        Steps by which finished groups reach the curriculum late.
    """

    about: str
    steps: int = 100
    batch_size: int = 32
    group_size: int = 8
    delay: int = 0

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch_size", 1), ("group_size", 2), ("delay", 0)):
            value = getattr(self, name)
            if value < least:
                option = name.replace("_", "-")
                raise SparftError(f"--{option}={value} must be at least {least}.")

    @abstractmethod
    def world(self, seed: int) -> World:
        """Make the world of a seed."""


class Trace(NamedTuple):
    """What happened in a run of t steps, or in runs: then a row for each seed comes first."""

    pass_rates: NDArray[np.float64]
    """On the target distribution before training and after each step, shape (t + 1,)."""
    wasted: NDArray[np.float64]
    """Share of the groups of each step that are all right or all wrong, shape (t,)."""
    picks: NDArray[np.int64]
    """Picks of each arm in each step, shape (t, arms)."""

    @property
    def arm_shares(self) -> NDArray[np.float64]:
        """Share of each arm among all picks of a run, shape (arms,)."""
        totals = self.picks.sum(axis=-2)
        shares: NDArray[np.float64] = totals / totals.sum(axis=-1, keepdims=True)
        return shares


def simulate(curriculum: Curriculum, world: World, setting: Setting, seed: int = 0) -> Trace:
    """Train a world by a curriculum that was started on its pool.

    Each step selects a batch, rolls out a group of Bernoulli accuracies for each pick, and trains
    on it at once; the curriculum is told of it ``delay`` steps later. Advantages are GRPO's.
    """
    rng = np.random.default_rng([seed, 1])
    pool, shape = world.pool, (setting.batch_size, setting.group_size)
    rates, wasted, picked = [world.target_pass_rate()], [], []
    late: deque[list[Outcome]] = deque()
    for step in range(setting.steps):
        picks = curriculum.select(setting.batch_size)
        positions = np.searchsorted(pool.ids, [pick.prompt.id.encode() for pick in picks])
        chances = world.pass_rates(positions)[:, None]
        accuracies = (rng.random(shape) < chances).astype(np.float64)
        wasted.append(np.mean(np.ptp(accuracies, axis=1) == 0))
        picked.append(np.bincount(pool.arms[positions], minlength=pool.n_arms))
        world.train(positions, accuracies)
        rates.append(world.target_pass_rate())
        told = zip(picks, accuracies, advantages(accuracies), strict=True)
        late.append([Outcome(*group, model_version=step) for group in told])
        if len(late) > setting.delay:
            curriculum.observe(late.popleft())
    return Trace(np.array(rates), np.array(wasted), np.array(picked))


def advantages(accuracies: NDArray[np.float64]) -> NDArray[np.float64]:
    """GRPO's advantage of every rollout, shape (groups, rollouts)."""
    centred = accuracies - accuracies.mean(axis=1, keepdims=True)
    found: NDArray[np.float64] = centred / (accuracies.std(axis=1, ddof=1, keepdims=True) + EPSILON)
    return found


def measured(rates: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Difficulty of prompts with these pass rates, as a few attempts measure it."""
    difficulties: NDArray[np.float64] = 1 - rng.binomial(ATTEMPTS, rates) / ATTEMPTS
    return difficulties


def numbered(n: int) -> NDArray[np.bytes_]:
    """Ids of n prompts, in order."""
    digits = len(str(n - 1))
    return np.array([f"prompt-{i:0{digits}d}".encode() for i in range(n)])
