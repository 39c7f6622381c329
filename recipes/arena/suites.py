"""Which runs a suite is made of; written down before its first row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from arms import ARMS
from pools import ON_BOTH, POOLS
from results import Results, headroom, verdicts


@dataclass(frozen=True)
class Settings:
    """The same for every run of a suite.

    Parameters
    ----------
    budget : int
        Rollouts of a run, dropped ones counted.
    groups, rollouts : int
        Prompts a step, and rollouts a prompt.
    learning_rate : float
        Of AdamW, constant.
    every : int
        Rollouts between two evaluations.
    """

    budget: int = 7680
    groups: int = 16
    rollouts: int = 8
    learning_rate: float = 2e-4
    every: int = 512


class Run(NamedTuple):
    """One run of a suite."""

    pool: str
    arm: str
    seed: int
    settings: Settings = Settings()


class Suite(NamedTuple):
    """What is crossed: every arm in every pool with every seed."""

    seeds: Sequence[int]
    arms: Sequence[str]
    pools: Sequence[str] = tuple(POOLS)
    settings: Settings = Settings()

    def runs(self) -> list[Run]:
        """Runs in the order in which they are made: a seed whole before the next."""
        return [
            Run(pool, arm, seed, self.settings)
            for seed in self.seeds
            for pool in self.pools
            for arm in self.arms
        ]


SMOKE, HALF = Settings(budget=512, every=256), Settings(budget=4096)
SCREEN_SEEDS, DECIDE_SEEDS, HEADROOM_SEEDS = range(1, 4), range(101, 113), range(201, 205)
ALWAYS = (
    "uniform",
    "uniform_again",
    "uniform_100",
    "random_100",
    "refill",
    "oracle",
    "sparft",
    "sparft_100",
    "memory_r_plus",
    "memory_shuffled",
    "sparft_memory",
)
"""Arms that are decided on however they were screened: the controls and the paper's methods."""


def suite(name: str, rows: Sequence[Mapping[str, Any]]) -> Suite:
    """Return a suite by its name, given the rows that there are.

    Raises
    ------
    ValueError
        If ``decide`` is asked for before the screen is whole.
    """
    if name == "smoke":
        return Suite(
            [1], ("uniform", "refill", "oracle", "sec", "random_50"), ("late_phase",), SMOKE
        )
    if name == "headroom":
        return Suite(HEADROOM_SEEDS, ("uniform", "oracle"))
    if name == "hosts":
        return Suite(SCREEN_SEEDS, ("uniform", "sec", "sparft"), tuple(ON_BOTH), HALF)
    screen = Suite(SCREEN_SEEDS, tuple(ARMS))
    if name == "screen":
        return screen
    screened = [row for row in rows if row["suite"] == "screen" and row["arm"] in ARMS]
    if len(screened) < len(screen.runs()):
        raise ValueError(
            f"decide follows from the screen, which has {len(screened)} of {len(screen.runs())} "
            "rows; run --suite screen first."
        )
    rooms = headroom([row for row in rows if row["suite"] == "headroom"])
    found = verdicts(Results(screened, rooms))
    survivors = {v.arm for v in found if v.survives}
    return Suite(DECIDE_SEEDS, [arm for arm in ARMS if arm in ALWAYS or arm in survivors])
