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

from sparft_plugin.config.accuracy import AccuracyRule
from sparft_plugin.corpus.rows import Place, read_user_text
from sparft_plugin.hosts.verl.groups import make_group
from sparft_plugin.training.groups import FinishedGroup, in_pick_order


def read_groups(
    partition: str,
    tags: Mapping[str, Mapping[str, Any]],
    accuracy: AccuracyRule,
    rollouts: int,
    with_responses: bool = False,
) -> list[FinishedGroup]:
    """Read the groups of the given trajectory keys, in the order of their picks.

    Parameters
    ----------
    partition : str
        TransferQueue partition, "train".
    tags : mapping
        verl's tag of each trajectory key ``{uid}_{session}_{index}``.
    accuracy, rollouts, with_responses
        See `make_group`.

    Raises
    ------
    SparftError
        If a rollout brings a fault of its reward, or lacks what our dataset or reward manager
        attach.
    """
    keys = [key for key, tag in tags.items() if not tag.get("is_padding", False)]
    if not keys:
        return []
    data = tq.kv_batch_get(
        keys=keys, partition_id=partition, select_fields=["extra_info", "extra_fields"]
    )
    infos = dict(zip(keys, map(_plain, data["extra_info"]), strict=True))
    extras = {
        key: _plain(extra).get("reward_extra_info", {})
        for key, extra in zip(keys, data["extra_fields"], strict=True)
    }
    members: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for key in sorted(keys, key=_position):
        uid, session, _ = _position(key)
        members[uid][session].append(key)
    finals = {
        uid: [outputs[-1] for outputs in sessions.values()] for uid, sessions in members.items()
    }
    rewards = _rewards(partition, [key for last in finals.values() for key in last], extras)
    groups = [
        make_group(
            uid,
            list(members[uid].values()),
            [rewards[key] for key in last],
            [infos[key] for key in last],
            [extras[key] for key in last],
            [tags[key].get("min_global_steps") for key in last],
            with_responses,
            accuracy,
            rollouts,
        )
        for uid, last in finals.items()
    ]
    return in_pick_order(groups)


def _rewards(
    partition: str, keys: Sequence[str], extras: Mapping[str, Mapping[str, Any]]
) -> dict[str, float]:
    """Outcome rewards: as our reward manager told them, else summed over the response's tokens."""
    rewards = {key: float(extras[key].get("sparft_score", 0.0)) for key in keys}
    untold = [key for key in keys if "sparft_score" not in extras[key]]
    if untold:
        data = tq.kv_batch_get(keys=untold, partition_id=partition, select_fields=["rm_scores"])
        sums = (float(score.sum()) for score in data["rm_scores"])
        rewards |= dict(zip(untold, sums, strict=True))
    return rewards


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
    partition: str,
    tags: Mapping[str, Mapping[str, Any]],
    groups: Sequence[FinishedGroup],
    terms: Mapping[str, NDArray[np.float64]],
) -> None:
    """Write ``rm_scores`` with a term per rollout added, at the last token of each of its outputs.

    verl puts the outcome reward there and zeros before it, so nothing needs to be read. A group
    without terms, which are told by uid, keeps its reward.
    """
    if not terms:
        return
    shaped = {
        key: (float(reward), float(term))
        for group in groups
        if group.uid in terms
        for outputs, reward, term in zip(
            group.outputs, group.rewards, terms[group.uid], strict=True
        )
        for key in outputs
    }
    scores = []
    for key, (reward, term) in shaped.items():
        score = torch.zeros(int(tags[key]["response_len"]), dtype=torch.float32)
        if score.numel():
            score[-1] = reward
            score[-1] += term
        scores.append(score)
    nested = torch.nested.as_nested_tensor(scores, layout=torch.jagged)
    fields = TensorDict({"rm_scores": nested}, batch_size=len(scores))
    tq.kv_batch_put(keys=list(shaped), partition_id=partition, fields=fields)


def _plain(value: Any) -> Any:
    """Unwrap what TransferQueue returns for a non-tensor field."""
    return getattr(value, "data", value)


def _position(key: str) -> tuple[str, int, int]:
    uid, session, index = key.rsplit("_", 2)
    return uid, int(session), int(index)
