"""Check a composed recipe on the driver, before Ray starts a worker.

Hydra calls this because the ``sparft`` group adds it to ``hydra.callbacks``; without a sparft
name in the config it does not exist. Hydra turns a callback's exceptions into warnings, so a
refusal leaves by ``SystemExit``.
"""

from __future__ import annotations

import copy
import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from sparft_plugin.config.schema import SparftConfig
from sparft_plugin.errors import SparftError, require
from sparft_plugin.hosts.verl.memory_costs import check_memory
from sparft_plugin.hosts.verl.refusals import (
    DATASET,
    LOOP_MANAGER,
    MANAGER,
    OUR_LOOP_MANAGER,
    check_config,
    is_legacy,
)
from sparft_plugin.training.encoding import memory_encoder


class Preflight(Callback):  # type: ignore[misc]
    """Wrap what the recipe names itself, then refuse what would not work."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Move the recipe's own dataset class and reward manager inside ours."""
        _or_exit(adopt, config)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Do the same for every job of a sweep."""
        _or_exit(adopt_for_sweep, config)

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse a config in which one of our pieces is missing, or whose data is broken."""
        _or_exit(check, config)


def _or_exit(action: Callable[[DictConfig], None], config: DictConfig) -> None:
    try:
        action(config)
    except SparftError as error:
        _say(f"error: {error}")
        sys.exit(2)
    # Hydra would turn it into a warning and train on: an unforeseen error must stop the run too.
    except Exception:
        traceback.print_exc()
        sys.exit(1)


def _say(sentence: str) -> None:
    """Tell the user; hydra has not set up logging yet."""
    sys.stderr.write(f"sparft: {sentence}\n")


def adopt(config: DictConfig) -> None:
    """Let a recipe keep its own dataset class and reward manager, inside ours.

    A recipe's command line wins over our group, so its choice stands where our piece should be.
    It is moved to ``sparft.wraps`` and ours is put back; a line on stderr says so. What depends on
    the trainer is set here too, because the recipe chooses the trainer.
    """
    _move_old_reward_keys(config)
    dataset = config.data.custom_cls
    if (dataset.path, dataset.name) != DATASET:
        path = None if dataset.path == DATASET[0] else dataset.path
        config.sparft.wraps.dataset.path = path
        config.sparft.wraps.dataset.name = dataset_name = dataset.name
        dataset.path, dataset.name = DATASET
        _say(f"your dataset class {dataset_name} goes on working inside ours.")
    manager = config.reward.reward_manager
    if (manager.module.path, manager.name) != MANAGER or manager.source != "importlib":
        own_module = manager.source == "importlib" and manager.module.path != MANAGER[0]
        wrapped = config.sparft.wraps.reward_manager
        wrapped.source = "importlib" if own_module else "register"
        wrapped.path = manager.module.path if own_module else None
        # `source=register` alone asks for verl's default by its source.
        wrapped.name = manager.name if manager.name != MANAGER[1] else wrapped.name
        manager.source, manager.name, manager.module.path = "importlib", MANAGER[1], MANAGER[0]
        _say(f"your reward manager {wrapped.name} goes on working inside ours.")
    if is_legacy(config):
        # The v1 trainer's loop manager has another contract, so the wiring does not name ours.
        if OmegaConf.select(config, LOOP_MANAGER) is None:
            OmegaConf.update(config, LOOP_MANAGER, OUR_LOOP_MANAGER, force_add=True)
    # Prompts one by one, as for verl's own filter.
    elif OmegaConf.select(config, "sparft.group_filter.name") is not None:
        if config.data.gen_batch_size not in (None, 1):
            _say("data.gen_batch_size is set to 1, because the group filter refills one by one.")
        config.data.gen_batch_size = 1


def _move_old_reward_keys(config: DictConfig) -> None:
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


def adopt_for_sweep(config: DictConfig) -> None:
    """Adopt as overrides: hydra composes each job of a sweep anew from its command line."""
    adopted = copy.deepcopy(config)
    adopt(adopted)
    changed = _leaves(adopted).items() - _leaves(config).items()
    config.hydra.overrides.task += [f"++{key}={value}" for key, value in sorted(changed)]


def _leaves(config: DictConfig) -> dict[str, str]:
    """Values of all sections but hydra's as overrides have them, by dotted key."""
    found: dict[str, str] = {}

    def visit(node: Any, key: str) -> None:
        if isinstance(node, dict) and node:
            for name, value in node.items():
                visit(value, f"{key}.{name}" if key else str(name))
        else:
            found[key] = json.dumps(node)

    visit({k: v for k, v in OmegaConf.to_container(config).items() if k != "hydra"}, "")
    return found


def check(config: DictConfig) -> None:
    """Refuse a composed config that would train without one of our pieces, or against them."""
    options = check_settings(config)
    check_data(config, options)
    for sentence in check_memory(config, options):
        _say(sentence)


def check_settings(config: DictConfig) -> SparftConfig:
    """Refuse what the config alone tells, and return its ``sparft`` section, checked.

    The training dataset asks for this too, so that a run that no hydra callback met is refused.
    """
    options = SparftConfig.from_mapping(OmegaConf.to_container(config.sparft, resolve=True))
    check_config(config, options)
    return options


def check_data(config: DictConfig, options: SparftConfig) -> None:
    """Refuse broken training files, and an encoder that cannot be reached."""
    from sparft_plugin.hosts.verl.rows import check_rows

    # An identity is looked up without loading the weights; one that cannot be reached is refused.
    if options.reduction is not None:
        _ = options.reduction.build_embedder().identity
    if options.memory is not None:
        _ = memory_encoder(options.memory["encoder"], options.memory_encoder).identity
    files = config.data.train_files
    require(bool(files), "data.train_files is empty; name your training files.")
    files = [files] if isinstance(files, str) else list(files)
    if options.wraps.dataset.path is None and all(
        str(file).endswith(".parquet") and "://" not in str(file) for file in files
    ):
        check_rows(files, config.data, options)
