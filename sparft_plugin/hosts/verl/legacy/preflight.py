"""What verl 0.7, 0.8 and the legacy trainer of 0.9 need of a recipe, and cannot do."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import Any

from omegaconf import DictConfig, OmegaConf
from packaging.version import Version

from sparft_plugin.config.schema import SparftConfig
from sparft_plugin.errors import require

LOOP_MANAGER = "actor_rollout_ref.rollout.agent.agent_loop_manager_class"
OURS = "sparft_plugin.hosts.verl.legacy.manager.FeedbackAgentLoopManager"

OLDEST = Version("0.7.1")
"""Older versions would ignore our agent loop manager."""


def is_legacy(config: DictConfig) -> bool:
    """Whether the legacy trainer runs a recipe; verl 0.7 and 0.8 have no other."""
    return not OmegaConf.select(config, "trainer.use_v1", default=False)


def attach(config: DictConfig) -> None:
    """Put our agent loop manager where the recipe names none of its own.

    It belongs to the legacy trainer alone: the v1 trainer's manager has another contract.
    """
    if OmegaConf.select(config, LOOP_MANAGER) is None:
        OmegaConf.update(config, LOOP_MANAGER, OURS, force_add=True)


def move_old_reward_keys(config: DictConfig) -> None:
    """Move a reward manager that a recipe names by verl's old keys to the new ones.

    verl 0.7 and 0.8 do so themselves, but after our check, and would replace our manager.
    """
    old = OmegaConf.select(config, "reward_model")
    if old is None or "use_v1" in config.trainer:
        return
    manager = config.reward.reward_manager
    if old.reward_manager is not None:
        manager.name, old.reward_manager = old.reward_manager, None
    if old.reward_loop_source is not None:
        manager.source, old.reward_loop_source = old.reward_loop_source, None
        manager.module.path, old.reward_loop_module_path = old.reward_loop_module_path, None


def check(config: DictConfig, options: SparftConfig) -> None:
    """Refuse what would train without our pieces, or against them.

    Raises
    ------
    SparftError
        One sentence that names the key and the mend.
    """
    installed = metadata.version("verl")
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
        manager == OURS,
        f"{LOOP_MANAGER}={manager} replaces sparft's manager, through which it learns in this "
        "trainer; remove it from your overrides.",
    )
    require(
        OmegaConf.select(config, "reward_model.enable") is not True,
        "reward_model.enable=True is an old key, which verl moves only after this check; name your "
        "reward model under reward.reward_model.",
    )
    require(
        options.group_filter is None,
        f"sparft.group_filter.name={_name(options.group_filter)} needs a trainer that refills "
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


def _name(section: Mapping[str, Any] | None) -> Any:
    return section["name"] if section else None
