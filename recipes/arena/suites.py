"""Which runs a suite is made of; written down before its first row."""

from __future__ import annotations

from typing import NamedTuple

from arms import ARMS
from pools import POOLS
from train import Settings


class Run(NamedTuple):
    """One run of a suite."""

    pool: str
    arm: str
    seed: int
    settings: Settings = Settings()


HEADROOM_SEEDS = range(201, 205)
SCREEN_SEEDS = range(1, 4)
DECIDE_SEEDS = range(101, 113)
SMOKE = Settings(budget=512, every=256)


def runs(suite: str) -> list[Run]:
    """Runs of a suite in the order in which they are made: a seed whole before the next."""
    return [
        Run(pool, arm, seed, settings)
        for seeds, arms, pools, settings in [SUITES[suite]]
        for seed in seeds
        for pool in pools
        for arm in arms
    ]


SUITES = {
    "smoke": (
        range(1, 2),
        ("uniform", "refill", "oracle", "sec", "random_50"),
        ("late_phase",),
        SMOKE,
    ),
    "headroom": (HEADROOM_SEEDS, ("uniform", "oracle"), tuple(POOLS), Settings()),
    "screen": (SCREEN_SEEDS, tuple(ARMS), tuple(POOLS), Settings()),
}
