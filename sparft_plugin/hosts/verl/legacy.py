"""verl's agent loop manager, with the feedback read out before a legacy trainer sees the batch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig
from verl import DataProto
from verl.experimental.agent_loop import AgentLoopManager
from verl.utils.ray_utils import auto_await

from sparft_plugin.config.accuracy import AccuracyRule
from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl.checkpoint import restore
from sparft_plugin.hosts.verl.dataset import run_of, training_set
from sparft_plugin.hosts.verl.groups import Rollout, make_group
from sparft_plugin.training.groups import FinishedGroup, in_pick_order

OURS = "sparft_"
"""How the names begin of what our reward manager attaches for the driver alone."""


class FeedbackAgentLoopManager(AgentLoopManager):  # type: ignore[misc]
    """Tell the curriculum and the memory about every generated batch, on the driver.

    verl's legacy trainer hands a whole batch of prompts to this class and gets it back with its
    rewards, before advantages and before the checkpoint of the step: nothing is learned late.
    Validation batches pass through untouched.

    The trainer keeps no place for metrics of a batch but its table of times, so ours appear in
    verl's logger as ``timing_s/sparft/...``. ``config`` is the whole config of the run, from which
    its training set was made before; the rest is what the version's manager takes.
    """

    def __init__(self, config: DictConfig, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        self._accuracy = AccuracyRule(config.sparft.get("accuracy"))
        self._rollouts = int(config.actor_rollout_ref.rollout.n)
        self._run = run_of(training_set(config))
        # The trainer draws its first batch later.
        restore(config.trainer, self._run)

    @auto_await  # type: ignore[untyped-decorator]
    async def generate_sequences(self, prompts: DataProto) -> DataProto:
        """Generate as verl does; then learn, add the intrinsic reward and report metrics."""
        output = await super().generate_sequences(prompts)
        if prompts.meta_info.get("validate", False):
            return output
        run = self._run
        with run.timer.part("read"):
            groups = read_groups(
                prompts, output, self._accuracy, self._rollouts, run.remembering is not None
            )
            drop_ours(output)
        result = run.finish(groups)
        with run.timer.part("write"):
            add_to_rewards(output, groups, result.terms)
        output.meta_info["timing"].update(result.metrics | run.times())
        return output


def read_groups(
    prompts: DataProto,
    output: DataProto,
    accuracy: AccuracyRule,
    rollouts: int,
    with_responses: bool = False,
) -> list[FinishedGroup]:
    """Read the groups of a generated batch, in the order of their picks.

    ``prompts`` has a row per rollout that was to be generated, ``output`` what came back, row by
    row; see `make_group` for the rest. If rows do not match or have no rewards, it is a
    SparftError.
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
    members: dict[str, list[Rollout]] = defaultdict(list)
    for row, uid in enumerate(prompts.non_tensor_batch["uid"]):
        told = {key: values[row] for key, values in extras.items()}
        members[str(uid)].append(Rollout([row], rewards[row], infos[row], told, versions[row]))
    return in_pick_order(
        [make_group(*group, rollouts, accuracy, with_responses) for group in members.items()]
    )


def add_to_rewards(
    output: DataProto, groups: Sequence[FinishedGroup], terms: Mapping[str, NDArray[np.float64]]
) -> None:
    """Add the terms to ``rm_scores``, at the token where verl put the outcome reward.

    They are told by uid, shape (rollouts,); a group without terms keeps its reward.
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
    keys = output.meta_info["reward_extra_keys"]
    output.meta_info["reward_extra_keys"] = [key for key in keys if not key.startswith(OURS)]
    reports = output.non_tensor_batch.get("reward_extra_info", [])
    for told in (output.non_tensor_batch, *reports):
        for key in [key for key in told if key.startswith(OURS)]:
            del told[key]
