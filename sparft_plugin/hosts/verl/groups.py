"""A finished group, from what verl's trainers keep of its rollouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.config.accuracy import AccuracyRule
from sparft_plugin.errors import SparftError
from sparft_plugin.training.groups import FinishedGroup


def make_group(
    uid: str,
    outputs: Sequence[Sequence[Any]],
    rewards: Sequence[float],
    infos: Sequence[Mapping[str, Any]],
    extras: Sequence[Mapping[str, Any]],
    versions: Sequence[Any],
    with_responses: bool,
    accuracy: AccuracyRule,
    rollouts: int,
) -> FinishedGroup:
    """Put a group together.

    Parameters
    ----------
    uid : str
        verl's id of the group.
    outputs : sequence of sequence
        TransferQueue keys, or rows of a batch; see `FinishedGroup`.
    rewards : sequence of float
        Outcome reward of each rollout.
    infos, extras : sequence of mapping
        ``extra_info`` and ``reward_extra_info`` of each rollout.
    versions : sequence of int or None
        The trainer step whose weights began each rollout, where verl tells it.
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
        model_version=min((int(v) for v in versions if v is not None), default=0),
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
