"""Which finished groups go on to the trainer, judged by their raw accuracy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from sparft_plugin.curriculum.options import check_options, number
from sparft_plugin.curriculum.records import Outcome
from sparft_plugin.errors import SparftError


class GroupFilter(ABC):
    """Decides whether a finished group is trained on; a registered filter is a dataclass.

    Curriculum and memory are told of a group that is not kept, too; the host then clears it and
    asks the curriculum for another.
    """

    @abstractmethod
    def keep(self, outcome: Outcome) -> bool:
        """Whether to train on a group, by its outcome alone: a group may be judged twice."""


@dataclass
class Band(GroupFilter):
    """Keep groups that are neither too hard nor too easy for the present policy.

    keep iff lo <= pass rate <= hi; both ends belong to the band.

    Parameters
    ----------
    lo, hi : float in [0, 1], lo <= hi, defaults 0.2 and 0.8
        The band; ours.
    """

    lo: float = number(0.2, 0, 1)
    hi: float = number(0.8, 0, 1)

    def __post_init__(self) -> None:
        check_options(self, "sparft.group_filter")
        if self.lo > self.hi:
            raise SparftError(
                f"sparft.group_filter.lo={self.lo} must not be above "
                f"sparft.group_filter.hi={self.hi}."
            )

    def keep(self, outcome: Outcome) -> bool:
        """Whether the pass rate lies in the band."""
        # Sums of thirds and tenths miss the ends of a band by a rounding error.
        return self.lo - 1e-9 <= outcome.pass_rate <= self.hi + 1e-9


@dataclass
class MixedOnly(GroupFilter):
    """Drop groups that are all right or all wrong, where GRPO has no gradient.

    keep iff 0 < number of correct rollouts < G. DAPO, https://arxiv.org/abs/2503.14476, section
    3.2, dynamic sampling. With partial accuracies: keep iff not all are equal, as verl does.
    """

    def keep(self, outcome: Outcome) -> bool:
        """Whether the rollouts differ in accuracy."""
        return bool(outcome.accuracies.min() < outcome.accuracies.max())
