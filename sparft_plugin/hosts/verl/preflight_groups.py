"""Refuse rewards, groups and filters of groups that sparft cannot read, compare or keep."""

from __future__ import annotations

import numpy as np
from omegaconf import DictConfig, OmegaConf

from sparft_plugin import plugins
from sparft_plugin.config.schema import SparftConfig
from sparft_plugin.curriculum import Outcome, Pick, Prompt
from sparft_plugin.curriculum.wrappers.wrap import WRAPPERS, split
from sparft_plugin.errors import require

UNGROUPED = {
    "gae": "a critic's advantages",
    "reinforce_plus_plus": "advantages over the whole batch",
    "grpo_passk": "an advantage of the best rollout alone",
}
"""verl's estimators that do not compare every rollout of a group with the others."""


def check_rewards(config: DictConfig, options: SparftConfig) -> None:
    """Refuse rewards that do not pass through our reward manager, or are not read where we add.

    Raises
    ------
    SparftError
        One sentence that names the key and the mend.
    """
    model = config.reward.reward_model
    require(
        not model.enable or config.reward.custom_reward_function.path is not None,
        "reward.reward_model.enable=True alone makes the model's score the reward and asks nobody "
        "for an accuracy, which sparft learns from; set reward.custom_reward_function.path to a "
        "function that asks the model and returns 'acc'.",
    )
    require(
        not model.enable or model.enable_resource_pool,
        "reward.reward_model.enable=True on the GPUs of the rollouts gives rewards only after "
        "sparft has read the step; set reward.reward_model.enable_resource_pool=True with "
        "n_gpus_per_node and nnodes of its own.",
    )
    require(
        options.memory is None or config.algorithm.adv_estimator != "gdpo",
        "algorithm.adv_estimator=gdpo reads the parts of the reward by their names and not their "
        "sum, to which sparft.memory adds; use grpo or a sparft name without a memory.",
    )


def check_groups(config: DictConfig, options: SparftConfig) -> None:
    """Refuse a curriculum that compares the rollouts of a group where verl compares none.

    Raises
    ------
    SparftError
        Naming the method or wrapper, the number of rollouts or the estimator, and the mend.
    """
    estimator, n = config.algorithm.adv_estimator, config.actor_rollout_ref.rollout.n
    require(
        estimator != "remax",
        "algorithm.adv_estimator=remax is not supported: its greedy baselines would be taken for "
        "rollouts; use grpo.",
    )
    for key in _comparing(options):
        require(
            n > 1,
            f"{key} compares the rollouts of a group, and actor_rollout_ref.rollout.n={n} makes "
            "groups of one; raise n, or train without it.",
        )
        require(
            estimator not in UNGROUPED,
            f"{key} compares the rollouts of a group, and algorithm.adv_estimator={estimator} "
            f"trains on {UNGROUPED.get(estimator)}; use grpo, or train without it.",
        )


def check_filter(config: DictConfig, options: SparftConfig) -> None:
    """Refuse a group filter that would reject every group, or none, whatever comes.

    verl refills for ever what is rejected, and with a buffer that is not its own it filters
    nothing where no metric is named.

    Raises
    ------
    SparftError
        Naming the filter and the number of rollouts, or the missing metric.
    """
    verls = OmegaConf.select(config, "algorithm.filter_groups") or {}
    require(
        not verls.get("enable", False) or bool(verls.get("metric")),
        "algorithm.filter_groups.enable=True filters nothing without a metric; set "
        "algorithm.filter_groups.metric=acc.",
    )
    group_filter = options.build_group_filter()
    if options.group_filter is None or group_filter is None:
        return
    require(
        config.data.gen_batch_size == 1,
        f"sparft.group_filter.name={options.group_filter['name']} refills groups one by one; set "
        "data.gen_batch_size=1.",
    )
    n = config.actor_rollout_ref.rollout.n
    right = [np.arange(n) < solved for solved in range(n + 1)]
    equal = [np.full(n, share) for share in np.linspace(0, 1, 101)]
    possible = [
        Outcome(Pick(-1, Prompt("any")), accuracies.astype(np.float64), np.zeros(n))
        for accuracies in [*right, *equal]
    ]
    require(
        any(group_filter.keep(outcome) for outcome in possible),
        f"sparft.group_filter.name={options.group_filter['name']} keeps no group of "
        f"actor_rollout_ref.rollout.n={n} rollouts; raise n or remove the filter.",
    )


def _comparing(options: SparftConfig) -> list[str]:
    """Name by its key what of the curriculum compares the rollouts of a group."""
    if options.curriculum is None:
        return []
    own, wrappers = split(options.curriculum)
    name = own["name"]
    classes = {f"sparft.curriculum.name={name}": plugins.lookup("curriculum", name)}
    classes |= {f"sparft.curriculum.{wrapper}": WRAPPERS[wrapper] for wrapper in wrappers}
    return [key for key, cls in classes.items() if cls.needs_group]
