"""The contract of a group filter: admission of finished groups, not selection of prompts."""

from __future__ import annotations

from abc import ABC, abstractmethod

from sparft_plugin.curriculum.records import Outcome


class GroupFilter(ABC):
    """Decides whether a finished group is trained on; a registered filter is a dataclass.

    A group that is not kept is an observation like any other: curriculum and memory are told of
    it. The host then clears it and asks the curriculum for another.
    """

    @abstractmethod
    def keep(self, outcome: Outcome) -> bool:
        """Whether to train on a group.

        The answer depends on the outcome alone, so that a group may be judged twice.

        Parameters
        ----------
        outcome : Outcome
            The group's prompt, raw accuracies and advantages.
        """
