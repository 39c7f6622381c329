"""Difficulty of each prompt in [0, 1], 0 = always solved: measured, read and put on one scale."""

from sparft_plugin.difficulty.rollouts import RolloutHistory, read_rollouts
from sparft_plugin.difficulty.sources import (
    Difficulties,
    Source,
    SourceSpec,
    combine,
    find_difficulties,
    parse_source,
)

__all__ = [
    "Difficulties",
    "RolloutHistory",
    "Source",
    "SourceSpec",
    "combine",
    "find_difficulties",
    "parse_source",
    "read_rollouts",
]
