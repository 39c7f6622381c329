"""What a step's groups look like in a host's logger; `TrainingRun` adds the prefix."""

from __future__ import annotations

import logging
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError
from sparft_plugin.memory.base import Terms
from sparft_plugin.memory.collapse import StepStats
from sparft_plugin.training.groups import FinishedGroup

logger = logging.getLogger(__name__)

STEPS = 20
"""Steps over which groups that lost a rollout are counted."""


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


def worker_metrics(groups: Sequence[FinishedGroup]) -> dict[str, float]:
    """How long encoding in workers outlived the last reward; none where no worker encodes."""
    scored = [group.scored_at for group in groups if group.scored_at is not None]
    if not scored:
        return {}
    late = max(group.embedded_at for group in groups) - max(scored)
    return {"ms/encode_in_workers": 1000 * max(0.0, late)}


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


@dataclass
class Losses:
    """Counts groups that lost a rollout, and stops a run that loses too many.

    ``limit`` is ``sparft.max_incomplete``: the share of the groups of `STEPS` steps that may be
    lost. A run that has made fewer steps is held to the same number.
    """

    limit: float
    steps: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=STEPS))
    warned: bool = False

    def observe(self, incomplete: int, groups: int) -> None:
        """Take in a step; beyond the limit it is a SparftError."""
        self.steps.append((incomplete, groups))
        lost, all_groups = map(sum, zip(*self.steps, strict=True))
        if lost > self.limit * all_groups * STEPS / len(self.steps):
            raise SparftError(
                f"{lost} of the {all_groups} groups of the last {len(self.steps)} steps lost a "
                "rollout to a dead worker, a failed agent or a reward of None, more than "
                f"sparft.max_incomplete={self.limit:g} of {STEPS} steps; the first error in "
                "the log above names the cause, and a higher limit goes on without such groups."
            )
        if incomplete and not self.warned:
            self.warned = True
            logger.warning(
                "sparft: %d of the step's %d groups lost a rollout to a dead worker, a failed "
                "agent or a reward of None; curriculum and memory leave such groups out, "
                "sparft/feedback/incomplete counts them, and the run stops at more than "
                "sparft.max_incomplete=%g of %d steps.",
                incomplete,
                groups,
                self.limit,
                STEPS,
            )
