"""A finished group, from what verl's trainers keep of its rollouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.config.accuracy import AccuracyRule
from sparft_plugin.errors import SparftError
from sparft_plugin.training.groups import FinishedGroup


class Rollout(NamedTuple):
    """A finished rollout."""

    outputs: Sequence[Any]
    """TransferQueue keys, or the row of a batch."""
    reward: float
    info: Mapping[str, Any]
    """Its ``extra_info``."""
    extra: Mapping[str, Any]
    """Its ``reward_extra_info``."""
    version: int | None
    """The trainer step whose weights began it, where verl tells it."""


def make_group(
    uid: str,
    rollouts: Sequence[Rollout],
    asked_for: int,
    accuracy: AccuracyRule,
    with_responses: bool,
) -> FinishedGroup:
    """Put a group together.

    ``asked_for`` is the number of rollouts, unless the recipe's dataset asked for its own;
    ``accuracy`` reads the rollouts that their agent loop scored itself.

    Raises
    ------
    SparftError
        If a rollout brings a fault of its reward, or lacks what our dataset or reward manager
        attach.
    """
    tag = rollouts[0].info.get("sparft")
    if tag is None:
        raise SparftError(
            "a finished rollout carries no extra_info.sparft; data.custom_cls must be "
            "sparft_plugin's CurriculumDataset."
        )
    extras = [rollout.extra for rollout in rollouts]
    for extra in extras:
        if "sparft_fault" in extra:
            raise SparftError(extra["sparft_fault"])
    read = [
        (each.extra["acc"], each.extra["sparft_source"])
        if "sparft_source" in each.extra
        else accuracy.read(each.extra, each.reward)
        for each in rollouts
    ]
    versions = [rollout.version for rollout in rollouts if rollout.version is not None]
    return FinishedGroup(
        uid=uid,
        tag=tag,
        outputs=tuple(tuple(rollout.outputs) for rollout in rollouts),
        rewards=np.array([rollout.reward for rollout in rollouts], dtype=np.float64),
        accuracies=np.array([value for value, _ in read], dtype=np.float64),
        responses=_embeddings(extras) if with_responses else None,
        model_version=min(map(int, versions), default=0),
        tokens=_of_all(extras, "sparft_tokens", np.int64),
        at_limit=_of_all(extras, "sparft_at_limit", np.bool_),
        formats=_of_all(extras, "format", np.float64),
        blank=sum(bool(extra.get("sparft_blank")) for extra in extras),
        scored_at=max(float(extra.get("sparft_scored_at", 0.0)) for extra in extras),
        embedded_at=max(float(extra.get("sparft_embedded_at", 0.0)) for extra in extras),
        complete=len(rollouts) >= (tag.get("rollouts") or asked_for),
        sources=frozenset(source for _, source in read),
        encoders=frozenset(
            extra["sparft_encoder"] for extra in extras if "sparft_encoder" in extra
        ),
    )


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
