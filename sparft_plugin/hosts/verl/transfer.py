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
from sparft_plugin.hosts.verl.groups import Rollout, make_group
from sparft_plugin.training.groups import FinishedGroup, in_pick_order


def read_groups(
    partition: str,
    tags: Mapping[str, Mapping[str, Any]],
    accuracy: AccuracyRule,
    rollouts: int,
    with_responses: bool = False,
) -> list[FinishedGroup]:
    """Read the groups of a partition's trajectories, in the order of their picks.

    ``tags`` are verl's, by trajectory key ``{uid}_{session}_{index}``; see `make_group` for the
    rest, and what is refused.
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
    finals = [outputs[-1] for sessions in members.values() for outputs in sessions.values()]
    rewards = _rewards(partition, finals, extras)

    def rollout(outputs: list[str]) -> Rollout:
        last = outputs[-1]
        version = tags[last].get("min_global_steps")
        return Rollout(outputs, rewards[last], infos[last], extras[last], version)

    return in_pick_order(
        [
            make_group(uid, [*map(rollout, sessions.values())], rollouts, accuracy, with_responses)
            for uid, sessions in members.items()
        ]
    )


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
    scores = {}
    for group in (group for group in groups if group.uid in terms):
        parts = zip(group.outputs, group.rewards, terms[group.uid], strict=True)
        for outputs, reward, term in parts:
            for key in outputs:
                scores[key] = torch.zeros(int(tags[key]["response_len"]), dtype=torch.float32)
                scores[key][-1:] = float(reward)
                scores[key][-1:] += float(term)
    nested = torch.nested.as_nested_tensor(list(scores.values()), layout=torch.jagged)
    fields = TensorDict({"rm_scores": nested}, batch_size=len(scores))
    tq.kv_batch_put(keys=list(scores), partition_id=partition, fields=fields)


def _plain(value: Any) -> Any:
    """Unwrap what TransferQueue returns for a non-tensor field."""
    return getattr(value, "data", value)


def _position(key: str) -> tuple[str, int, int]:
    uid, session, index = key.rsplit("_", 2)
    return uid, int(session), int(index)
