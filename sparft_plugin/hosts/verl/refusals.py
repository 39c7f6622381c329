"""What a config alone tells that would train without one of our pieces, or against them.

Every function raises `SparftError`: one sentence that names the key and the mend.
"""

from __future__ import annotations

from importlib import metadata

import numpy as np
from omegaconf import DictConfig, OmegaConf
from packaging.version import Version

from sparft_plugin import plugins
from sparft_plugin.config.schema import SparftConfig
from sparft_plugin.curriculum import Outcome, Pick, Prompt
from sparft_plugin.curriculum.wrappers.wrap import WRAPPERS, split
from sparft_plugin.errors import require

DATASET = ("pkg://sparft_plugin.hosts.verl.dataset", "CurriculumDataset")
MANAGER = ("pkg://sparft_plugin.hosts.verl.reward_manager", "FeedbackRewardManager")
BUFFER = ("pkg://sparft_plugin.hosts.verl.replay_buffer", "FeedbackReplayBuffer")
LOOP_MANAGER = "actor_rollout_ref.rollout.agent.agent_loop_manager_class"
OUR_LOOP_MANAGER = "sparft_plugin.hosts.verl.legacy.FeedbackAgentLoopManager"

MODES = ("sync", "colocate_async", "separate_async")
"""verl's own trainer modes; a registered trainer of another name may sample in another way."""
OTHER_TRAINERS = {"async_training": "fully asynchronous", "rollout": "one-step-off"}
"""verl's experimental trainers, by a section that only their configs have."""
OLDEST = Version("0.7.1")
"""Older versions would ignore our agent loop manager."""
REPLAYS = (
    "skip.rollout.enable",
    "skip.rollout_tq.enable",
    "actor_rollout_ref.rollout.skip.enable",
    "actor_rollout_ref.rollout.skip_rollout",
)
"""What makes verl replay stored rollouts: 0.9 (legacy trainer, v1), 0.8 and 0.7."""
UNGROUPED = {
    "gae": "a critic's advantages",
    "reinforce_plus_plus": "advantages over the whole batch",
    "grpo_passk": "an advantage of the best rollout alone",
}
"""verl's estimators that do not compare every rollout of a group with the others."""
SHAPED = ("reward", "seq_reward", "seq_final_reward")
"""Filter metrics that verl and its DAPO trainers compute from ``rm_scores``, where the memory's
reward is added. verl's v1 trainer reads ``reward`` before that, trainers that filter after
generation read all three behind it; the rest are fields of the recipe's reward function, which the
memory leaves alone."""


def is_legacy(config: DictConfig) -> bool:
    """Whether the legacy trainer runs a recipe; verl 0.7 and 0.8 have no other."""
    return not OmegaConf.select(config, "trainer.use_v1", default=False)


def check_config(config: DictConfig, options: SparftConfig) -> None:
    """Refuse what the config alone tells."""
    check_trainer(config, options)
    check_pieces(config, options)
    check_rewards(config, options)
    check_groups(config, options)
    check_filter(config, options)


def check_trainer(config: DictConfig, options: SparftConfig) -> None:
    """Refuse a trainer that we cannot attach to, or one in which our piece was replaced."""
    for key, trainer in OTHER_TRAINERS.items():
        require(
            OmegaConf.select(config, key) is None,
            f"sparft does not support verl's {trainer} trainer, which this config with its section "
            f"'{key}' is for; use python -m verl.trainer.main_ppo.",
        )
    require(
        OmegaConf.select(config, "hydra.job.name") != "main_ppo_sync",
        "sparft does not support verl's trainer preview main_ppo_sync; use python -m "
        "verl.trainer.main_ppo.",
    )
    if is_legacy(config):
        _check_legacy(config, options)
        return
    sampler = config.trainer.v1.sampler.custom_sampler
    require(
        (sampler.path, sampler.name) == BUFFER,
        f"trainer.v1.sampler.custom_sampler={sampler.path}:{sampler.name} replaces sparft's replay "
        "buffer; remove it from your overrides.",
    )
    mode = config.trainer.v1.trainer_mode
    require(
        mode in MODES,
        f"trainer.v1.trainer_mode={mode} is not supported yet; use {' or '.join(MODES)}.",
    )


def _check_legacy(config: DictConfig, options: SparftConfig) -> None:
    """Refuse what verl 0.7, 0.8 and the legacy trainer of 0.9 cannot do."""
    installed, group_filter = metadata.version("verl"), options.group_filter or {}
    require(
        Version(installed) >= OLDEST,
        f"verl {installed} is installed and sparft needs {OLDEST} or later; upgrade verl.",
    )
    manager = OmegaConf.select(config, LOOP_MANAGER)
    require(
        manager is not None,
        f"{LOOP_MANAGER} is not set, because the check before the run never met this config; "
        "launch by python -m verl.trainer.main_ppo, or call sparft_plugin.hosts.verl.preflight's "
        "adopt(config) and check(config) first.",
    )
    require(
        manager == OUR_LOOP_MANAGER,
        f"{LOOP_MANAGER}={manager} replaces sparft's manager, through which it learns in this "
        "trainer; remove it from your overrides.",
    )
    require(
        OmegaConf.select(config, "reward_model.enable") is not True,
        "reward_model.enable=True is an old key, which verl moves only after this check; name your "
        "reward model under reward.reward_model.",
    )
    require(
        not group_filter,
        f"sparft.group_filter.name={group_filter.get('name')} needs a trainer that refills "
        "rejected groups, and this one cannot; remove it, or use verl 0.9 without "
        "trainer.use_v1=False.",
    )
    for key in ("data.sampler.class_path", "data.datagen.path"):
        given = OmegaConf.select(config, key)
        require(
            options.curriculum is None or given is None,
            f"{key}={given} would be ignored, because the curriculum decides the order; remove it "
            "or use a sparft name without a curriculum.",
        )


def check_pieces(config: DictConfig, options: SparftConfig) -> None:
    """Refuse a config in which a piece of ours was replaced, or would see nothing."""
    dataset, manager = config.data.custom_cls, config.reward.reward_manager
    require(
        (dataset.path, dataset.name) == DATASET,
        f"data.custom_cls={dataset.path}:{dataset.name} replaces sparft's dataset; name it as "
        "sparft.wraps.dataset.path and .name instead.",
    )
    require(
        (manager.module.path, manager.name) == MANAGER and manager.source == "importlib",
        f"reward.reward_manager.name={manager.name} replaces sparft's reward manager; name it as "
        "sparft.wraps.reward_manager.name instead.",
    )
    workers = config.data.dataloader_num_workers
    require(
        workers == 0,
        f"data.dataloader_num_workers={workers} gives sparft's dataset copies that never see the "
        "feedback; remove it from your overrides or set it to 0.",
    )
    require(
        options.curriculum is None or not config.data.shuffle,
        "data.shuffle=True would be ignored, because the curriculum decides the order; remove it "
        "from your overrides or set it to False.",
    )
    for key in REPLAYS:
        require(
            OmegaConf.select(config, key) is not True,
            f"{key}=True replays rollouts that answer other picks, which teach sparft a falsehood; "
            "remove it.",
        )


def check_rewards(config: DictConfig, options: SparftConfig) -> None:
    """Refuse rewards that do not pass through our reward manager, or are not read where we add."""
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
    """Refuse a curriculum that compares the rollouts of a group where verl compares none."""
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
    """Refuse a group filter that looks at novelty, or rejects every group or none whatever comes.

    verl refills for ever what is rejected, and with a buffer that is not its own it filters
    nothing where no metric is named.
    """
    verls = OmegaConf.select(config, "algorithm.filter_groups") or {}
    enabled, metric = verls.get("enable", False), verls.get("metric")
    require(
        options.memory is None or not enabled or metric not in SHAPED,
        f"algorithm.filter_groups.metric={metric} reads the reward to which sparft.memory "
        "adds, so novelty would decide which groups are trained on; set "
        "algorithm.filter_groups.metric=acc.",
    )
    require(
        not enabled or bool(metric),
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
