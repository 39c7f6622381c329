"""How the plugin attaches to verl 0.7.1 and 0.8.0, on their real config trees and classes."""

from __future__ import annotations

import importlib.util
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from sparft_plugin.hosts.verl import preflight
from sparft_plugin.hosts.verl.refusals import LOOP_MANAGER, OUR_LOOP_MANAGER
from tests.verl.harness import rows

PRESETS = ["sparft", "sparft_memory", "memory_r", "memory_r_plus", "uniform"]


@pytest.fixture(scope="module")
def train_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "train.parquet"
    pq.write_table(pa.Table.from_pylist(rows(120)), path)
    return path


@pytest.fixture
def recipe(train_file):
    """Compose a recipe on the installed version's own config tree."""
    (verl,) = importlib.util.find_spec("verl").submodule_search_locations

    def make(name: str, *overrides: str) -> DictConfig:
        with initialize_config_dir(f"{verl}/trainer/config", version_base=None):
            names = [f"+sparft={name}", f"data.train_files={train_file}"]
            return compose("ppo_trainer", [*names, *overrides])

    return make


def test_the_version_is_the_one_its_environment_is_named_after(version):
    import verl

    assert verl.__version__ == version
    assert f"verl-{version}" in sys.prefix


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_composes_and_is_let_through(recipe, name):
    config = recipe(name)
    preflight.adopt(config)
    preflight.check(config)
    assert OmegaConf.select(config, LOOP_MANAGER) == OUR_LOOP_MANAGER
    assert config.data.custom_cls.name == "CurriculumDataset"
    assert "v1" not in config.trainer


def test_the_cpu_platform_composes(recipe):
    config = recipe("sparft", "+sparft_platform=cpu")
    assert config.trainer.device == "cuda"
    assert config.actor_rollout_ref.actor.strategy == "fsdp2"


def test_our_loop_manager_is_one_of_verls_with_its_way_of_being_made():
    from verl.experimental.agent_loop import AgentLoopManager
    from verl.utils.import_utils import load_class_from_fqn

    ours = load_class_from_fqn(OUR_LOOP_MANAGER, "AgentLoopManager")
    assert issubclass(ours, AgentLoopManager)
    theirs = list(inspect.signature(AgentLoopManager.__init__).parameters)
    assert theirs[:2] == ["self", "config"]


def test_a_recipes_manager_under_verls_old_key_stays_inside_ours_after_verl_moved_the_keys(recipe):
    from verl.experimental.reward_loop import migrate_legacy_reward_impl

    config = recipe("sparft", "reward_model.reward_manager=dapo")
    preflight.adopt(config)
    preflight.check(config)
    moved = migrate_legacy_reward_impl(config)
    assert moved.reward.reward_manager.name == "FeedbackRewardManager"
    assert moved.sparft.wraps.reward_manager.name == "dapo"


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("sparft.group_filter.name=mixed_only", "sparft.group_filter.name=mixed_only needs"),
        ("algorithm.adv_estimator=remax", "algorithm.adv_estimator=remax is not supported"),
        ("reward_model.enable=True", "reward_model.enable=True is an old key"),
        (f"{LOOP_MANAGER}=mine.Manager", f"{LOOP_MANAGER}=mine.Manager replaces"),
    ],
)
def test_verl_ends_with_code_two_and_one_line_before_ray_starts(
    tmp_path, train_file, override, sentence
):
    command = [sys.executable, "-m", "verl.trainer.main_ppo", "+sparft=sparft", override]
    done = subprocess.run(
        [*command, f"data.train_files={train_file}"],
        cwd=tmp_path,
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr[-2000:]
    assert f"sparft: error: {sentence}" in done.stderr
    assert "Traceback" not in done.stderr
