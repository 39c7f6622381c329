"""The checks before a run of verl's legacy trainer, on 0.9's real config tree."""

from __future__ import annotations

import copy

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.sparft_search_path import verl_trainer
from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl import preflight
from sparft_plugin.hosts.verl.refusals import LOOP_MANAGER
from sparft_plugin.hosts.verl.refusals import OUR_LOOP_MANAGER as OURS
from tests.unit.test_preflight import VERL_CONFIG, refusal, rows, write


@pytest.fixture(scope="module")
def composed(tmp_path_factory) -> dict[str, DictConfig]:
    file = write(tmp_path_factory.mktemp("data") / "train.parquet", rows())
    with initialize_config_dir(VERL_CONFIG, version_base=None):
        return {
            name: compose(
                "ppo_trainer",
                [f"+sparft={name}", f"data.train_files={file}", "trainer.use_v1=False"],
            )
            for name in ("sparft", "memory_r")
        }


@pytest.fixture
def recipe(composed):
    def make(name="sparft", settings=None):
        config = copy.deepcopy(composed[name])
        for key, value in (settings or {}).items():
            OmegaConf.update(config, key, value, force_add=True)
        return config

    return make


@pytest.mark.parametrize("name", ["sparft", "memory_r"])
def test_the_legacy_trainer_gets_our_loop_manager_and_is_let_through(recipe, name):
    config = recipe(name)
    preflight.adopt(config)
    preflight.check(config)
    assert OmegaConf.select(config, LOOP_MANAGER) == OURS


def test_the_v1_trainer_keeps_its_own_loop_manager(recipe):
    config = recipe(settings={"trainer.use_v1": True})
    preflight.adopt(config)
    preflight.check(config)
    assert OmegaConf.select(config, LOOP_MANAGER) is None


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({LOOP_MANAGER: "mine.Manager"}, f"{LOOP_MANAGER}=mine.Manager replaces sparft's manager"),
        (
            {"algorithm.adv_estimator": "remax"},
            "algorithm.adv_estimator=remax is not supported: its greedy baselines",
        ),
        (
            {"sparft.group_filter": {"name": "mixed_only"}},
            "sparft.group_filter.name=mixed_only needs a trainer that refills rejected groups",
        ),
        (
            {"data.sampler.class_path": "mine.py"},
            "data.sampler.class_path=mine.py would be ignored, because the curriculum decides",
        ),
        ({"async_training": {"staleness_threshold": 1}}, "sparft does not support verl's fully"),
        ({"rollout": {"nnodes": 1}}, "sparft does not support verl's one-step-off trainer"),
        ({"hydra": {"job": {"name": "main_ppo_sync"}}}, "sparft does not support verl's trainer"),
    ],
)
def test_what_the_legacy_trainer_cannot_do_is_refused(recipe, settings, sentence):
    text = refusal(recipe(settings=settings))
    assert text.startswith(sentence)
    assert text.endswith(".")


def test_a_recipe_without_a_curriculum_keeps_its_sampler(recipe):
    config = recipe("memory_r", {"data.sampler.class_path": "mine.py"})
    preflight.adopt(config)
    preflight.check(config)


def test_a_group_filter_of_the_legacy_trainer_does_not_change_its_batches(recipe):
    config = recipe(settings={"sparft.group_filter": {"name": "band"}, "data.gen_batch_size": 8})
    preflight.adopt(config)
    assert config.data.gen_batch_size == 8


def older(config: DictConfig) -> DictConfig:
    """Make the config look like that of verl 0.8, which knows no other trainer."""
    with_old_keys = OmegaConf.create(OmegaConf.to_container(config))
    del with_old_keys.trainer.use_v1
    return with_old_keys


def test_a_reward_manager_under_verls_old_key_moves_inside_ours(recipe):
    config = older(recipe(settings={"reward_model.reward_manager": "dapo"}))
    preflight.adopt(config)
    preflight.check(config)
    assert config.sparft.wraps.reward_manager.name == "dapo"
    assert config.reward.reward_manager.name == "FeedbackRewardManager"
    # verl moves what is left under the old keys over ours; nothing may be.
    assert config.reward_model.reward_manager is None


def test_a_reward_manager_of_the_recipes_own_file_under_old_keys_moves_inside_ours(recipe):
    settings = {
        "reward_model.reward_manager": "Mine",
        "reward_model.reward_loop_source": "importlib",
        "reward_model.reward_loop_module_path": "mine.py",
    }
    config = older(recipe(settings=settings))
    preflight.adopt(config)
    preflight.check(config)
    wrapped = OmegaConf.to_container(config.sparft.wraps.reward_manager)
    assert wrapped == {"source": "importlib", "name": "Mine", "path": "mine.py"}
    assert config.reward_model.reward_loop_module_path is None


def test_a_reward_model_under_verls_old_key_is_refused(recipe):
    text = refusal(older(recipe(settings={"reward_model.enable": True})))
    assert text == (
        "reward_model.enable=True is an old key, which verl moves only after this check; name your "
        "reward model under reward.reward_model."
    )


@pytest.mark.parametrize(
    ("installed", "folder"),
    [
        ("0.7.1", "verl_legacy"),
        ("0.8.0", "verl_legacy"),
        ("0.9.1", "verl_v1"),
        ("0.10.0.dev0", "verl_v1"),
        ("1.0", "verl_v1"),
    ],
)
def test_the_installed_version_chooses_the_config_folder(monkeypatch, installed, folder):
    monkeypatch.setattr("importlib.metadata.version", lambda name: installed)
    assert verl_trainer() == folder


def test_a_verl_that_would_ignore_our_manager_is_refused(recipe, monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.7.0")
    assert (
        refusal(recipe())
        == "verl 0.7.0 is installed and sparft needs 0.7.1 or later; upgrade verl."
    )


def test_a_piece_of_the_config_that_is_missing_is_an_error_of_ours(recipe):
    config = recipe()
    with pytest.raises(SparftError, match=f"{LOOP_MANAGER} is not set, because the check before"):
        preflight.check(config)
