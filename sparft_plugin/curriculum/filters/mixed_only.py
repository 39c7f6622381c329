"""Mixed groups only: dynamic sampling."""

from __future__ import annotations

from dataclasses import dataclass

from sparft_plugin.curriculum.filters.base import GroupFilter
from sparft_plugin.curriculum.records import Outcome


@dataclass
class MixedOnly(GroupFilter):
    """Drop groups that are all right or all wrong, where GRPO has no gradient.

    keep iff 0 < number of correct rollouts < G. DAPO, https://arxiv.org/abs/2503.14476, section
    3.2, dynamic sampling. With partial accuracies: keep iff not all are equal, as verl does.
    """

    def keep(self, outcome: Outcome) -> bool:
        """Whether the rollouts differ in accuracy."""
        return bool(outcome.accuracies.min() < outcome.accuracies.max())
