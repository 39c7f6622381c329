"""The v1 trainer's TransferQueue: read finished groups from it, and add to their reward."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import transfer_queue as tq
from numpy.typing import NDArray
from tensordict import TensorDict

from sparft_plugin.corpus.rows import Place, read_user_text
from sparft_plugin.hosts.verl.groups import FinishedGroup, in_pick_order, make_group

FIELDS = ["rm_scores", "extra_info", "extra_fields"]


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
    groups = []
    for uid, sessions in members.items():
        finals = [outputs[-1] for outputs in sessions.values()]
        rewards, infos, extras = zip(*(rows[key] for key in finals), strict=True)
        versions = [tags[key].get("min_global_steps") for key in finals]
        groups.append(
            make_group(
                uid,
                list(sessions.values()),
                rewards,
                infos,
                [extra.get("reward_extra_info", {}) for extra in extras],
                min((int(v) for v in versions if v is not None), default=0),
                with_responses,
            )
        )
    return in_pick_order(groups)


def read_picks(partition: str, uids: Iterable[str]) -> set[int]:
    """Pick ids of groups in flight; verl's async modes keep each prompt's item under its uid."""
    keys = list(uids)
    if not keys:
        return set()
    data = tq.kv_batch_get(keys=keys, partition_id=partition, select_fields=["extra_info"])
    return {int(_plain(info)["sparft"]["pick"]) for info in data["extra_info"]}


def read_text(partition: str, group: FinishedGroup) -> str:
    """Read the user's text of a group's prompt back from one of its rollouts."""
    key = group.outputs[0][-1]
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
        for outputs, term in zip(group.outputs, group_terms, strict=True)
        for key in outputs
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


def _plain(value: Any) -> Any:
    """Unwrap what TransferQueue returns for a non-tensor field."""
    return getattr(value, "data", value)


def _position(key: str) -> tuple[str, int, int]:
    uid, session, index = key.rsplit("_", 2)
    return uid, int(session), int(index)
