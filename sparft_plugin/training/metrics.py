"""What a step's groups look like in a host's logger; `TrainingRun` adds the prefix."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.memory.base import Terms
from sparft_plugin.memory.collapse import StepStats
from sparft_plugin.training.groups import FinishedGroup


class PartTimer:
    """Adds up wall time per part of the plugin until it is taken."""

    def __init__(self) -> None:
        self._ms: dict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time the block under a name."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._ms[name] += 1000 * (time.perf_counter() - began)

    def take(self) -> dict[str, float]:
        """Return milliseconds per part and their sum ``plugin``, and start again from zero.

        The sum is not called a total: verl averages the metrics of a step's mini-batches, but sums
        those with "total" in their name, and the parts would not add up.
        """
        taken, self._ms = dict(self._ms), defaultdict(float)
        return taken | {"plugin": sum(taken.values())}


def group_metrics(
    trained: Sequence[FinishedGroup], cleared: Sequence[FinishedGroup]
) -> dict[str, float]:
    """Pass rate and share of wasted groups over all groups, outcome reward of the trained ones.

    A step whose groups all lost a rollout has none of them; groups of one rollout have nothing to
    compare, and no share of waste.
    """
    groups = [*trained, *cleared]
    wasted = [np.ptp(group.rewards) == 0 for group in groups if group.rewards.size > 1]
    metrics = {}
    if groups:
        metrics["pass_rate"] = mean([group.accuracies for group in groups])
    if wasted:
        metrics["wasted_group_share"] = float(np.mean(wasted))
    if trained:
        metrics["reward/outcome"] = mean([group.rewards for group in trained])
    return metrics


def pass_rate_per_arm(groups: Sequence[FinishedGroup]) -> dict[str, float]:
    """Pass rate of every arm that a group came from."""
    of_arm: dict[int, list[NDArray[np.float64]]] = defaultdict(list)
    for group in groups:
        of_arm[int(group.tag["arm"])].append(group.accuracies)
    return {f"curriculum/arm_{arm}/pass_rate": mean(of_arm[arm]) for arm in sorted(of_arm)}


def encoding_outlived_rewards(groups: Sequence[FinishedGroup]) -> float:
    """Seconds from the last reward of a step to its last embedding; 0 if that came before."""
    scored = max((group.scored_at for group in groups), default=0.0)
    return max(0.0, max((group.embedded_at for group in groups), default=0.0) - scored)


def reward_metrics(terms: Sequence[Terms]) -> dict[str, float]:
    """Means of the parts of the intrinsic reward over all rollouts."""
    return {
        "reward/exploit": mean([term.exploit for term in terms]),
        "reward/explore": mean([term.explore for term in terms]),
        "reward/intrinsic": mean([term.total for term in terms]),
    }


def step_stats(groups: Sequence[FinishedGroup]) -> StepStats | None:
    """What the collapse watch is told of a step; None where the host did not tell lengths."""
    tokens = [group.tokens for group in groups if group.tokens is not None]
    at_limit = [group.at_limit for group in groups if group.at_limit is not None]
    formats = [group.formats for group in groups if group.formats is not None]
    if not groups or not len(tokens) == len(at_limit) == len(groups):
        return None
    return StepStats(
        accuracy=mean([group.accuracies for group in groups]),
        mean_tokens=mean(tokens),
        clipped_share=mean(at_limit),
        format_reward=mean(formats) if len(formats) == len(groups) else None,
    )


def mean(arrays: Sequence[NDArray[Any]]) -> float:
    """Mean over all values of some arrays; 0 of none."""
    return float(np.concatenate(arrays).mean()) if arrays else 0.0
