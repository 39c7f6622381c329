"""Finished groups as verl leaves them in the TransferQueue, and how to add to their reward."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import transfer_queue as tq
from numpy.typing import NDArray
from tensordict import TensorDict

from sparft_plugin.corpus.rows import Place, read_user_text
from sparft_plugin.errors import SparftError

FIELDS = ["rm_scores", "extra_info", "extra_fields"]


@dataclass(frozen=True)
class FinishedGroup:
    """All rollouts of one pick, as read from the TransferQueue.

    Parameters
    ----------
    tag : mapping
        What the dataset put into ``extra_info["sparft"]``: id, arm, difficulty and pick.
    sessions : tuple of tuple of str
        TransferQueue keys per rollout; an agent loop with several outputs has several.
    rewards : float array, shape (rollouts,)
        Outcome reward of each rollout.
    accuracies : float array, shape (rollouts,)
        Raw accuracy of each rollout.
    responses : float32 array, shape (rollouts, d), or None
        Embedding of each response; None when no memory is configured.
    encode_ms : float
        Milliseconds the reward workers spent on encoding, beside generation.
    model_version : int
        The trainer step whose weights began the group.
    """

    tag: Mapping[str, Any]
    sessions: tuple[tuple[str, ...], ...]
    rewards: NDArray[np.float64]
    accuracies: NDArray[np.float64]
    responses: NDArray[np.float32] | None
    encode_ms: float
    model_version: int

    @property
    def uid(self) -> str:
        """Verl's id of the group."""
        return _position(self.sessions[0][0])[0]


def read_groups(
    partition: str, tags: Mapping[str, Mapping[str, Any]], with_responses: bool = False
) -> list[FinishedGroup]:
    """Read the groups of the given trajectory keys, in the order of their picks.

    Parameters
    ----------
    partition : str
        TransferQueue partition, "train".
    tags : mapping
        verl's tag of each trajectory key ``{uid}_{session}_{index}``.
    with_responses : bool
        Whether response embeddings are needed.

    Raises
    ------
    SparftError
        If a rollout lacks what our dataset or reward manager attach.
    """
    keys = [key for key, tag in tags.items() if not tag.get("is_padding", False)]
    if not keys:
        return []
    data = tq.kv_batch_get(keys=keys, partition_id=partition, select_fields=FIELDS)
    rows = {
        key: (float(score.sum()), _plain(info), _plain(extra))
        for key, score, info, extra in zip(
            keys, data["rm_scores"], data["extra_info"], data["extra_fields"], strict=True
        )
    }
    members: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for key in sorted(keys, key=_position):
        uid, session, _ = _position(key)
        members[uid][session].append(key)
    groups = [
        _group([tuple(outputs) for outputs in sessions.values()], rows, tags, with_responses)
        for sessions in members.values()
    ]
    return sorted(groups, key=_order)


def read_picks(partition: str, uids: Iterable[str]) -> set[int]:
    """Pick ids of groups in flight; verl's async modes keep each prompt's item under its uid."""
    keys = list(uids)
    if not keys:
        return set()
    data = tq.kv_batch_get(keys=keys, partition_id=partition, select_fields=["extra_info"])
    return {int(_plain(info)["sparft"]["pick"]) for info in data["extra_info"]}


def read_text(partition: str, group: FinishedGroup) -> str:
    """Read the user's text of a group's prompt back from one of its rollouts."""
    key = group.sessions[0][-1]
    data = tq.kv_batch_get(keys=[key], partition_id=partition, select_fields=["raw_prompt"])
    messages = [dict(_plain(message)) for message in _plain(data["raw_prompt"][0])]
    return read_user_text(messages, Place(partition, 0), "raw_prompt")


def add_to_rewards(
    partition: str, groups: Sequence[FinishedGroup], terms: Sequence[NDArray[np.float64]]
) -> None:
    """Add a term per rollout to ``rm_scores``, at the last token of each of its outputs."""
    term_of = {
        key: float(term)
        for group, group_terms in zip(groups, terms, strict=True)
        for session, term in zip(group.sessions, group_terms, strict=True)
        for key in session
    }
    keys = list(term_of)
    data = tq.kv_batch_get(keys=keys, partition_id=partition, select_fields=["rm_scores"])
    shaped = []
    for key, score in zip(keys, data["rm_scores"], strict=True):
        score = score.clone()
        if score.numel():
            score[-1] += term_of[key]
        shaped.append(score)
    scores = torch.nested.as_nested_tensor(shaped, layout=torch.jagged)
    fields = TensorDict({"rm_scores": scores}, batch_size=len(keys))
    tq.kv_batch_put(keys=keys, partition_id=partition, fields=fields)


def _group(
    sessions: list[tuple[str, ...]],
    rows: Mapping[str, tuple[float, Any, Any]],
    tags: Mapping[str, Mapping[str, Any]],
    with_responses: bool,
) -> FinishedGroup:
    finals = [session[-1] for session in sessions]
    extras = [rows[key][2].get("reward_extra_info", {}) for key in finals]
    tag = rows[finals[0]][1].get("sparft")
    if tag is None:
        raise SparftError(
            "a finished rollout carries no extra_info.sparft; data.custom_cls must be "
            "sparft_plugin's CurriculumDataset."
        )
    versions = [tags[key].get("min_global_steps") for key in finals]
    return FinishedGroup(
        tag=tag,
        sessions=tuple(sessions),
        rewards=np.array([rows[key][0] for key in finals]),
        accuracies=np.array([_extra(extra, "acc") for extra in extras], dtype=np.float64),
        responses=(
            np.stack([_extra(extra, "sparft_embedding") for extra in extras]).astype(np.float32)
            if with_responses
            else None
        ),
        encode_ms=float(sum(extra.get("sparft_encode_ms", 0.0) for extra in extras)),
        model_version=min((int(v) for v in versions if v is not None), default=0),
    )


def _extra(extra: Mapping[str, Any], name: str) -> Any:
    if name not in extra:
        raise SparftError(
            f"a finished rollout carries no '{name}'; reward.reward_manager must be "
            "sparft_plugin's FeedbackRewardManager."
        )
    return extra[name]


def _plain(value: Any) -> Any:
    """Unwrap what TransferQueue returns for a non-tensor field."""
    return getattr(value, "data", value)


def _position(key: str) -> tuple[str, int, int]:
    uid, session, index = key.rsplit("_", 2)
    return uid, int(session), int(index)


def _order(group: FinishedGroup) -> tuple[int, str]:
    pick = group.tag.get("pick")
    return (-1 if pick is None else int(pick), str(group.tag["id"]))
