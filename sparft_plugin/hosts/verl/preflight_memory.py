"""Refuse a recipe whose group filter would look at what the memory pays."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from sparft_plugin.config.schema import SparftConfig
from sparft_plugin.errors import SparftError

SHAPED = ("reward", "seq_reward", "seq_final_reward")
"""Filter metrics that verl and its DAPO trainers compute from ``rm_scores``, where the memory's
reward is added. verl's v1 trainer reads ``reward`` before that, trainers that filter after
generation read all three behind it; the rest are fields of the recipe's reward function, which the
memory leaves alone."""


def check_memory(config: DictConfig, options: SparftConfig) -> None:
    """Refuse verl's ``filter_groups`` on a reward to which the memory adds.

    Raises
    ------
    SparftError
        Naming the metric and the one to use instead.
    """
    filters = OmegaConf.select(config, "algorithm.filter_groups") or {}
    metric = filters.get("metric")
    if options.memory is not None and filters.get("enable", False) and metric in SHAPED:
        raise SparftError(
            f"algorithm.filter_groups.metric={metric} reads the reward to which sparft.memory "
            "adds, so novelty would decide which groups are trained on; set "
            "algorithm.filter_groups.metric=acc."
        )
