"""The legacy trainer's batch: read finished groups from it, and add to their reward."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.config.accuracy import AccuracyRule
from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl.groups import make_group
from sparft_plugin.training.groups import FinishedGroup, in_pick_order

if TYPE_CHECKING:
    from verl import DataProto

OURS = "sparft_"
"""How the names begin of what our reward manager attaches for the driver alone."""


def read_groups(
    prompts: DataProto,
    output: DataProto,
    accuracy: AccuracyRule,
    rollouts: int,
    with_responses: bool = False,
) -> list[FinishedGroup]:
    """Read the groups of a generated batch, in the order of their picks.

    Parameters
    ----------
    prompts : DataProto
        What was to be generated, one row per rollout.
    output : DataProto
        What came back, row by row.
    accuracy, rollouts, with_responses
        See `make_group`.

    Raises
    ------
    SparftError
        If the rows do not match or have no rewards, or a rollout lacks what our dataset or
        reward manager attach.
    """
    if len(output) != len(prompts):
        raise SparftError(
            f"{len(prompts)} rollouts were asked for and {len(output)} came back; sparft needs an "
            "agent loop with one output per rollout in verl's legacy trainer."
        )
    if "rm_scores" not in output.batch:
        raise SparftError(
            "the batch came back without rm_scores; sparft needs a reward function, not a reward "
            "model on the rollout's own GPUs."
        )
    rewards = output.batch["rm_scores"].sum(-1).tolist()
    infos = prompts.non_tensor_batch["extra_info"]
    extras = {key: output.non_tensor_batch[key] for key in output.meta_info["reward_extra_keys"]}
    versions = output.non_tensor_batch.get("min_global_steps", [None] * len(output))
    members: dict[str, list[int]] = defaultdict(list)
    for row, uid in enumerate(prompts.non_tensor_batch["uid"]):
        members[str(uid)].append(row)
    groups = [
        make_group(
            uid,
            [[row] for row in rows],
            [rewards[row] for row in rows],
            [infos[row] for row in rows],
            [{key: values[row] for key, values in extras.items()} for row in rows],
            min((int(versions[row]) for row in rows if versions[row] is not None), default=0),
            with_responses,
            accuracy,
            rollouts,
        )
        for uid, rows in members.items()
    ]
    return in_pick_order(groups)


def add_to_rewards(
    output: DataProto, groups: Sequence[FinishedGroup], terms: Mapping[str, NDArray[np.float64]]
) -> None:
    """Add a term per rollout to ``rm_scores``, at the token where verl put the outcome reward.

    Parameters
    ----------
    terms : mapping of str to float array, shape (rollouts,)
        By uid; a group without terms keeps its reward.
    """
    if not terms:
        return
    # What a single worker returned may be mapped read-only from Ray's object store.
    scores = output.batch["rm_scores"].clone()
    prompt_length = output.batch["prompts"].shape[1]
    last = output.batch["attention_mask"][:, prompt_length:].sum(dim=1) - 1
    for group in groups:
        for (row,), term in zip(group.outputs, terms.get(group.uid, ()), strict=False):
            scores[row, last[row]] += float(term)
    output.batch["rm_scores"] = scores


def drop_ours(output: DataProto) -> None:
    """Take out what our reward manager attached, so that dumps and later steps do not carry it."""
    kept = [key for key in output.meta_info["reward_extra_keys"] if not key.startswith(OURS)]
    for key in output.meta_info["reward_extra_keys"]:
        if key not in kept:
            del output.non_tensor_batch[key]
    output.meta_info["reward_extra_keys"] = kept
    reports: Sequence[dict[str, Any]] = output.non_tensor_batch.get("reward_extra_info", [])
    for report in reports:
        for key in [key for key in report if key.startswith(OURS)]:
            del report[key]
