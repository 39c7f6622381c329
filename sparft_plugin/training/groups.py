"""A finished group, as every host hands it over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum import Outcome, Pick, Prompt


@dataclass(frozen=True)
class FinishedGroup:
    """All rollouts of one pick, r of them; what a host does not tell keeps its default."""

    uid: str
    """The host's id of the group, by which `StepResult` tells its intrinsic rewards."""
    tag: Mapping[str, Any]
    """What went out with the prompt; see `tag_of`."""
    outputs: tuple[tuple[Any, ...], ...]
    """Where each rollout's outputs lie, in the host's terms, for example keys of a queue or rows of
    a batch. A rollout of several turns may have several."""
    rewards: NDArray[np.float64]
    """Outcome reward of each rollout, shape (r,)."""
    accuracies: NDArray[np.float64]
    """Raw accuracy of each rollout, in [0, 1], shape (r,)."""
    responses: NDArray[np.float32] | None
    """Embedding of each response, shape (r, d); None when no memory is configured."""
    model_version: int
    """The trainer step whose weights began the group."""
    tokens: NDArray[np.int64] | None = None
    """Length of each response in tokens, shape (r,)."""
    at_limit: NDArray[np.bool_] | None = None
    """Which responses filled the length they were given, shape (r,)."""
    formats: NDArray[np.float64] | None = None
    """What the recipe's reward function reports as ``format``, shape (r,)."""
    blank: int = 0
    """How many responses the memory's encoder got as an empty text."""
    scored_at: float | None = None
    """When the last of its rollouts had its reward, in seconds of the workers' clocks; None where
    responses are not embedded by workers."""
    embedded_at: float = 0.0
    """When the last had its embedding."""
    complete: bool = True
    """Whether no rollout was lost on the way, for example with its worker; a group that lost one is
    no evidence of a pass rate."""
    sources: frozenset[str] = frozenset()
    """What the accuracies were read from: the reward function's ``acc``, its score, or a rule."""
    encoders: frozenset[str] = frozenset()
    """Identities of the encoders that embedded the responses."""

    @property
    def prompt_id(self) -> str:
        """Id of the group's prompt."""
        return str(self.tag["id"])

    @property
    def pick_id(self) -> int:
        """Id of the group's pick; -1 without a curriculum."""
        pick = self.tag["pick"]
        return -1 if pick is None else int(pick)

    @property
    def outcome(self) -> Outcome:
        """What curriculum and group filter are told."""
        prompt = Prompt(self.prompt_id, int(self.tag["arm"]), self.tag["difficulty"])
        advantages = group_advantages(self.rewards)
        return Outcome(Pick(self.pick_id, prompt), self.accuracies, advantages, self.model_version)


def tag_of(prompt: Prompt, pick: int | None) -> dict[str, Any]:
    """What travels with each rollout of a prompt; ``pick`` is None without a curriculum."""
    return {
        "id": prompt.id,
        "arm": prompt.arm,
        "difficulty": prompt.difficulty,
        "pick": pick,
    }


def in_pick_order(groups: Sequence[FinishedGroup]) -> list[FinishedGroup]:
    """Sort groups by pick, then prompt: an order that no worker's timing changes."""
    return sorted(groups, key=lambda group: (group.pick_id, group.prompt_id))


def group_advantages(rewards: NDArray[np.float64]) -> NDArray[np.float64]:
    """GRPO advantages of one group: rewards minus their mean, over their sample deviation.

    Shape (rollouts,). DeepSeekMath, https://arxiv.org/abs/2402.03300, section 4.1; epsilon 1e-6
    and a single rollout's advantage (its reward) as in verl.
    """
    if rewards.size == 1:
        return rewards.astype(np.float64)
    advantages: NDArray[np.float64] = (rewards - rewards.mean()) / (rewards.std(ddof=1) + 1e-6)
    return advantages
