"""Finished groups as every verl trainer's adapter hands them over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.config.accuracy import AccuracyRule
from sparft_plugin.curriculum import Outcome, Pick, Prompt
from sparft_plugin.errors import SparftError


@dataclass(frozen=True)
class FinishedGroup:
    """All rollouts of one pick.

    Parameters
    ----------
    uid : str
        verl's id of the group.
    tag : mapping
        What the dataset put into ``extra_info["sparft"]``: id, arm, difficulty and pick.
    outputs : tuple of tuple of hashable
        Where each rollout's outputs lie, in the trainer's terms: TransferQueue keys, or rows of a
        batch. An agent loop with several outputs has several.
    rewards : float array, shape (rollouts,)
        Outcome reward of each rollout.
    accuracies : float array, shape (rollouts,)
        Raw accuracy of each rollout.
    responses : float32 array, shape (rollouts, d), or None
        Embedding of each response; None when no memory is configured.
    scored_at, embedded_at : float
        When the last of its rollouts had its reward, and when the last had its embedding, in
        seconds of the workers' clocks; both 0 without a memory.
    model_version : int
        The trainer step whose weights began the group.
    tokens : int array, shape (rollouts,), or None
        Length of each response in tokens; None where the reward manager does not tell.
    at_limit : bool array, shape (rollouts,), or None
        Which responses filled the length they were given; None as for `tokens`.
    formats : float array, shape (rollouts,), or None
        What the recipe's reward function reports as ``format``; None if it does not.
    blank : int
        How many responses the memory's encoder got as an empty text.
    complete : bool
        Whether no rollout was lost on the way, for example with a reward worker; a group that
        lost one is no evidence of a pass rate.
    sources : frozenset of str
        What the accuracies were read from: the reward function's ``acc``, its score, or a rule.
    encoders : frozenset of str
        Identities of the encoders that embedded the responses.
    """

    uid: str
    tag: Mapping[str, Any]
    outputs: tuple[tuple[Any, ...], ...]
    rewards: NDArray[np.float64]
    accuracies: NDArray[np.float64]
    responses: NDArray[np.float32] | None
    model_version: int
    tokens: NDArray[np.int64] | None = None
    at_limit: NDArray[np.bool_] | None = None
    formats: NDArray[np.float64] | None = None
    blank: int = 0
    scored_at: float = 0.0
    embedded_at: float = 0.0
    complete: bool = True
    sources: frozenset[str] = frozenset()
    encoders: frozenset[str] = frozenset()

    @property
    def prompt_id(self) -> str:
        """Id of the group's prompt."""
        return str(self.tag["id"])

    @property
    def outcome(self) -> Outcome:
        """What curriculum and group filter are told; without a curriculum the pick id is -1."""
        prompt = Prompt(self.prompt_id, int(self.tag["arm"]), self.tag["difficulty"])
        return Outcome(
            Pick(-1 if self.tag["pick"] is None else int(self.tag["pick"]), prompt),
            self.accuracies,
            group_advantages(self.rewards),
            self.model_version,
        )


def make_group(
    uid: str,
    outputs: Sequence[Sequence[Any]],
    rewards: Sequence[float],
    infos: Sequence[Mapping[str, Any]],
    extras: Sequence[Mapping[str, Any]],
    model_version: int,
    with_responses: bool,
    accuracy: AccuracyRule,
    rollouts: int,
) -> FinishedGroup:
    """Put a group together from what verl keeps of each rollout.

    Parameters
    ----------
    uid : str
        verl's id of the group.
    outputs : sequence of sequence
        See `FinishedGroup`.
    rewards : sequence of float
        Outcome reward of each rollout.
    infos, extras : sequence of mapping
        ``extra_info`` and ``reward_extra_info`` of each rollout.
    model_version : int
        See `FinishedGroup`.
    with_responses : bool
        Whether response embeddings are needed.
    accuracy : AccuracyRule
        Reads the accuracy of a rollout that its agent loop scored itself.
    rollouts : int
        How many were asked for, unless the recipe's dataset asked for its own number.

    Raises
    ------
    SparftError
        If a rollout brings a fault of its reward, or lacks what our dataset or reward manager
        attach.
    """
    tag = infos[0].get("sparft")
    if tag is None:
        raise SparftError(
            "a finished rollout carries no extra_info.sparft; data.custom_cls must be "
            "sparft_plugin's CurriculumDataset."
        )
    for extra in extras:
        if "sparft_fault" in extra:
            raise SparftError(extra["sparft_fault"])
    read = [
        _accuracy(extra, reward, accuracy) for extra, reward in zip(extras, rewards, strict=True)
    ]
    return FinishedGroup(
        uid=uid,
        tag=tag,
        outputs=tuple(tuple(places) for places in outputs),
        rewards=np.array(rewards, dtype=np.float64),
        accuracies=np.array([value for value, _ in read], dtype=np.float64),
        responses=_embeddings(extras) if with_responses else None,
        model_version=model_version,
        tokens=_of_all(extras, "sparft_tokens", np.int64),
        at_limit=_of_all(extras, "sparft_at_limit", np.bool_),
        formats=_of_all(extras, "format", np.float64),
        blank=sum(bool(extra.get("sparft_blank")) for extra in extras),
        scored_at=max(float(extra.get("sparft_scored_at", 0.0)) for extra in extras),
        embedded_at=max(float(extra.get("sparft_embedded_at", 0.0)) for extra in extras),
        complete=len(outputs) >= (tag.get("rollouts") or rollouts),
        sources=frozenset(source for _, source in read),
        encoders=frozenset(
            extra["sparft_encoder"] for extra in extras if "sparft_encoder" in extra
        ),
    )


def in_pick_order(groups: Sequence[FinishedGroup]) -> list[FinishedGroup]:
    """Sort groups by pick, then prompt: an order that no worker's timing changes."""
    return sorted(groups, key=_order)


def group_advantages(rewards: NDArray[np.float64]) -> NDArray[np.float64]:
    """GRPO advantages of one group: rewards minus their mean, over their sample deviation.

    Shape (rollouts,). DeepSeekMath, https://arxiv.org/abs/2402.03300, section 4.1; epsilon 1e-6
    and a single rollout's advantage (its reward) as in verl.
    """
    if rewards.size == 1:
        return rewards.astype(np.float64)
    advantages: NDArray[np.float64] = (rewards - rewards.mean()) / (rewards.std(ddof=1) + 1e-6)
    return advantages


def _accuracy(extra: Mapping[str, Any], reward: float, rule: AccuracyRule) -> tuple[float, str]:
    """Accuracy and its source, from our reward manager or of an agent loop's own score."""
    if "sparft_source" in extra:
        return extra["acc"], extra["sparft_source"]
    return rule.read(extra, reward)


def _embeddings(extras: Sequence[Mapping[str, Any]]) -> NDArray[np.float32]:
    """Embeddings of all responses, shape (rollouts, d)."""
    if not all("sparft_embedding" in extra for extra in extras):
        raise SparftError(
            "a finished rollout carries no embedding: its agent loop scored it itself, so it never "
            "met the reward manager, which embeds it for the memory; leave reward_score to "
            "reward.custom_reward_function, or use a sparft name without a memory."
        )
    return np.stack([extra["sparft_embedding"] for extra in extras]).astype(np.float32)


def _of_all(extras: Sequence[Mapping[str, Any]], name: str, kind: type[Any]) -> Any:
    """Values of an extra that not every recipe reports; None unless all rollouts have a number."""
    values = [extra.get(name) for extra in extras]
    if not all(isinstance(value, (Real, np.bool_)) for value in values):
        return None
    return np.array(values, dtype=kind)


def _order(group: FinishedGroup) -> tuple[int, str]:
    pick = group.tag.get("pick")
    return (-1 if pick is None else int(pick), group.prompt_id)
