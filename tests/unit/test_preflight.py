"""What preflight adopts from a recipe, and what it refuses before Ray starts a worker."""

from __future__ import annotations

import copy
import re
import subprocess
import sys

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from hydra_plugins.sparft_search_path import verl_trainer
from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl import preflight
from sparft_plugin.hosts.verl.refusals import LOOP_MANAGER, OUR_LOOP_MANAGER, REPLAYS, UNGROUPED
from tests.unit.recipes import VERL_CONFIG, passes, refusal, rows, write
from tests.unit.recipes import recipe as recipe_on

OURS = {
    "data.custom_cls.path": "pkg://sparft_plugin.hosts.verl.dataset",
    "data.custom_cls.name": "CurriculumDataset",
    "reward.reward_manager.source": "importlib",
    "reward.reward_manager.module.path": "pkg://sparft_plugin.hosts.verl.reward_manager",
    "reward.reward_manager.name": "FeedbackRewardManager",
}
LEGACY = {"trainer.use_v1": False}
MINE = {"data.custom_cls.path": "mine.py", "data.custom_cls.name": "Mine"}
N, ESTIMATOR = "actor_rollout_ref.rollout.n", "algorithm.adv_estimator"
FILTER, BATCH = "sparft.group_filter", "data.gen_batch_size"


@pytest.fixture(scope="module")
def train_file(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data") / "train.parquet", rows())


@pytest.fixture
def recipe(train_file):
    """Make a recipe on a small valid training file."""
    return lambda name="sparft", settings=None: recipe_on(
        name, {"data.train_files": train_file, **(settings or {})}
    )


def pieces(config):
    return {key: OmegaConf.select(config, key) for key in OURS}


def wraps(config):
    return OmegaConf.to_container(config.sparft.wraps)


# Adoption


@pytest.mark.parametrize("name", ["sparft", "memory_r"])
def test_a_recipe_that_names_no_class_of_its_own_is_left_as_it_is(recipe, name):
    config = recipe(name)
    assert passes(copy.deepcopy(config)) == config
    assert pieces(config) == OURS
    assert OmegaConf.select(config, LOOP_MANAGER) is None
    assert wraps(config) == {
        "dataset": {"path": None, "name": None},
        "reward_manager": {"source": "register", "name": "naive", "path": None},
    }


SOURCE, MODULE, NAME = (f"reward.reward_manager.{key}" for key in ("source", "module.path", "name"))


@pytest.mark.parametrize(
    ("settings", "wrapped"),
    [
        ({NAME: "dapo"}, ("register", "dapo", None)),
        ({SOURCE: "register", NAME: "dapo"}, ("register", "dapo", None)),
        (
            {SOURCE: "importlib", MODULE: "mine.py", NAME: "Mine"},
            ("importlib", "Mine", "mine.py"),
        ),
        # verl's own default name, spelt out without saying which one.
        ({SOURCE: "register"}, ("register", "naive", None)),
    ],
)
def test_a_recipes_own_reward_manager_moves_inside_ours(recipe, settings, wrapped):
    config = passes(recipe(settings=settings))
    assert tuple(wraps(config)["reward_manager"].values()) == wrapped
    assert pieces(config) == OURS
    again = copy.deepcopy(config)
    preflight.adopt(again)
    assert again == config


def test_a_recipes_own_dataset_class_moves_inside_ours(recipe, capsys):
    # Its files are its own business.
    config = passes(recipe(settings={**MINE, NAME: "dapo", "data.train_files": "nope.parquet"}))
    assert wraps(config)["dataset"] == {"path": "mine.py", "name": "Mine"}
    assert pieces(config) == OURS
    assert capsys.readouterr().err == (
        "sparft: your dataset class Mine goes on working inside ours.\n"
        "sparft: your reward manager dapo goes on working inside ours.\n"
    )
    # verl's own, asked for by its absence.
    config = recipe(settings={"data.custom_cls.path": None, "data.custom_cls.name": None})
    assert wraps(passes(config))["dataset"]["path"] is None
    assert pieces(config) == OURS


def test_a_group_filter_makes_verl_fetch_prompts_one_by_one_as_its_own_does(recipe, capsys):
    config = passes(recipe(settings={FILTER: {"name": "mixed_only"}, BATCH: 8, N: 4}))
    assert config.data.gen_batch_size == 1
    assert config.trainer.v1.sampler.sampler_kwargs.gen_batch_size == 1
    assert config.trainer.v1.sampler.sampler_kwargs.group_filter == {"name": "mixed_only"}
    assert "data.gen_batch_size is set to 1" in capsys.readouterr().err
    for elsewhere in ({FILTER: None}, {FILTER: {"name": "band"}, **LEGACY}):
        config = recipe(settings={BATCH: 8, **elsewhere})
        preflight.adopt(config)
        assert config.data.gen_batch_size == 8


@pytest.mark.parametrize("name", ["sparft", "memory_r"])
def test_the_legacy_trainer_gets_our_loop_manager(recipe, name):
    config = passes(recipe(name, LEGACY))
    assert OmegaConf.select(config, LOOP_MANAGER) == OUR_LOOP_MANAGER


def older(config):
    """Make the config look like that of verl 0.8, which knows no other trainer."""
    with_old_keys = OmegaConf.create(OmegaConf.to_container(config))
    del with_old_keys.trainer.use_v1
    return with_old_keys


@pytest.mark.parametrize(
    ("old", "wrapped"),
    [
        ({"reward_manager": "dapo"}, ("register", "dapo", None)),
        (
            {
                "reward_manager": "Mine",
                "reward_loop_source": "importlib",
                "reward_loop_module_path": "mine.py",
            },
            ("importlib", "Mine", "mine.py"),
        ),
    ],
)
def test_a_reward_manager_under_verls_old_keys_moves_inside_ours(recipe, old, wrapped):
    config = older(recipe(settings={f"reward_model.{key}": old[key] for key in old}))
    passes(config)
    assert tuple(wraps(config)["reward_manager"].values()) == wrapped
    assert config.reward.reward_manager.name == "FeedbackRewardManager"
    # verl moves what is left under the old keys over ours; nothing may be.
    assert all(config.reward_model[key] is None for key in old)


@pytest.mark.parametrize(
    ("folder", "versions"),
    [("verl_legacy", ["0.7.1", "0.8.0"]), ("verl_v1", ["0.9.1", "0.10.0.dev0", "1.0"])],
)
def test_the_installed_version_chooses_the_config_folder(monkeypatch, folder, versions):
    for installed in versions:
        monkeypatch.setattr("importlib.metadata.version", lambda name, told=installed: told)
        assert verl_trainer() == folder


def test_a_sweep_takes_any_text_of_the_recipe_as_it_is(recipe):
    text = 'a "b", c\'s =[x].py'
    config = recipe(settings={**MINE, "data.custom_cls.path": text})
    OmegaConf.update(config, "hydra.overrides.task", [], force_add=True)
    preflight.adopt_for_sweep(config)
    parsed = OverridesParser.create().parse_overrides(list(config.hydra.overrides.task))
    assert {override.key_or_group: override.value() for override in parsed} == {
        "data.custom_cls.path": OURS["data.custom_cls.path"],
        "data.custom_cls.name": OURS["data.custom_cls.name"],
        "sparft.wraps.dataset.path": text,
        "sparft.wraps.dataset.name": "Mine",
    }
    assert not any(override.is_sweep_override() for override in parsed)


# Refusals by the config alone

BUFFER = "trainer.v1.sampler.custom_sampler"
MODEL = "reward.reward_model"
JUDGE = {f"{MODEL}.enable": True, "reward.custom_reward_function.path": "judge.py"}
POOL = {f"{MODEL}.enable_resource_pool": True}
VERLS = "algorithm.filter_groups"
SAMPLER = "data.sampler.class_path"
REFUSED = [
    ({"data.dataloader_num_workers": 4}, "data.dataloader_num_workers=4 gives sparft's dataset"),
    ({"data.shuffle": True}, "data.shuffle=True would be ignored"),
    ({f"{BUFFER}.path": "mine.py", f"{BUFFER}.name": "Mine"}, f"{BUFFER}=mine.py:Mine replaces"),
    ({f"{BUFFER}.path": None, f"{BUFFER}.name": None}, f"{BUFFER}=None:None replaces"),
    ({"trainer.v1.trainer_mode": "mine"}, "trainer.v1.trainer_mode=mine is not supported"),
    ({VERLS: {"enable": True, "metric": None}}, f"{VERLS}.enable=True filters nothing without a"),
    ({FILTER: {"name": "mixed_only"}, N: 1}, f"{FILTER}.name=mixed_only keeps no group of {N}=1"),
    ({f"{MODEL}.enable": True}, f"{MODEL}.enable=True alone makes the model's score the reward"),
    ({f"{MODEL}.enable": True, **POOL}, f"{MODEL}.enable=True alone"),
    (JUDGE, f"{MODEL}.enable=True on the GPUs of the rollouts"),
    ({ESTIMATOR: "remax"}, f"{ESTIMATOR}=remax is not supported: its greedy baselines"),
    ({"sparft.curriculum.name": "unifrom"}, "unknown curriculum 'unifrom'; did you mean"),
    ({**LEGACY, LOOP_MANAGER: "mine.Manager"}, f"{LOOP_MANAGER}=mine.Manager replaces sparft's"),
    ({**LEGACY, FILTER: {"name": "band"}}, f"{FILTER}.name=band needs a trainer that refills"),
    ({**LEGACY, SAMPLER: "mine.py"}, f"{SAMPLER}=mine.py would be ignored, because the curriculum"),
    ({**LEGACY, "async_training": {}}, "sparft does not support verl's fully asynchronous trainer"),
    ({**LEGACY, "rollout": {"nnodes": 1}}, "sparft does not support verl's one-step-off trainer"),
    (
        {**LEGACY, "hydra": {"job": {"name": "main_ppo_sync"}}},
        "sparft does not support verl's trainer preview main_ppo_sync",
    ),
]
WITH_A_MEMORY = [
    *[
        (
            {VERLS: {"enable": True, "metric": metric}},
            f"{VERLS}.metric={metric} reads the reward to",
        )
        for metric in ("reward", "seq_reward", "seq_final_reward")
    ],
    ({ESTIMATOR: "gdpo"}, f"{ESTIMATOR}=gdpo reads the parts of the reward by their names"),
    ({ESTIMATOR: "remax"}, f"{ESTIMATOR}=remax is not supported"),
]


@pytest.mark.parametrize(
    ("name", "settings", "start"),
    [("sparft", *case) for case in REFUSED] + [("memory_r", *case) for case in WITH_A_MEMORY],
)
def test_what_would_not_work_is_refused_with_its_key_and_the_mend(recipe, name, settings, start):
    text = refusal(recipe(name, settings))
    assert text.startswith(start)
    assert re.search(r"; (set|use|remove|raise|did you)|must be .*\.$", text)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *[("sparft", {"trainer.v1.trainer_mode": m}) for m in ("colocate_async", "separate_async")],
        *[("memory_r", {VERLS: {"enable": True, "metric": m}}) for m in ("acc", "score")],
        ("memory_r", {VERLS: {"enable": False, "metric": "reward"}}),
        ("sparft", {VERLS: {"enable": True, "metric": "reward"}}),
        ("memory_r", {"data.shuffle": True}),
        ("memory_r", {**LEGACY, SAMPLER: "mine.py"}),
        ("sparft", {**JUDGE, **POOL}),
        ("sparft", {**JUDGE, **POOL, **LEGACY}),
        *[
            ("sparft", {"sparft.curriculum": {"name": "sec"}, N: 4, ESTIMATOR: estimator})
            for estimator in ("grpo", "rloo", "reinforce_plus_plus_baseline", "mine")
        ],
        # A method that reads the pass rate takes one rollout and a critic.
        ("sparft", {N: 1, ESTIMATOR: "gae"}),
        ("sparft", {ESTIMATOR: "gdpo"}),
        # verl copies such files.
        ("sparft", {"data.train_files": "hdfs://cluster/train.parquet"}),
    ],
)
def test_what_works_is_let_through(recipe, name, settings):
    passes(recipe(name, settings))


@pytest.mark.parametrize("use_v1", [True, False])
@pytest.mark.parametrize("key", REPLAYS)
def test_replayed_rollouts_are_refused_by_the_keys_of_every_version(recipe, key, use_v1):
    assert refusal(recipe(settings={"trainer.use_v1": use_v1, key: True})) == (
        f"{key}=True replays rollouts that answer other picks, which teach sparft a falsehood; "
        "remove it."
    )


def test_the_installed_verl_knows_the_keys_of_its_replays(recipe):
    known = [key for key in REPLAYS if OmegaConf.select(recipe(), key) is False]
    assert known == ["skip.rollout.enable", "skip.rollout_tq.enable"]


COMPARES = [
    ({"sparft.curriculum": {"name": "sec"}}, "sparft.curriculum.name=sec"),
    ({"sparft.curriculum": {"name": "dump"}}, "sparft.curriculum.name=dump"),
    ({"sparft.curriculum": {"name": "uniform", "retest": 3}}, "sparft.curriculum.retest"),
]


@pytest.mark.parametrize(("settings", "key"), COMPARES)
def test_what_compares_the_rollouts_of_a_group_needs_some_and_an_estimator_that_does(
    recipe, settings, key
):
    passes(recipe(settings={**settings, N: 2, ESTIMATOR: "grpo"}))
    assert refusal(recipe(settings={**settings, N: 1, ESTIMATOR: "grpo"})) == (
        f"{key} compares the rollouts of a group, and {N}=1 makes groups of one; raise n, or "
        "train without it."
    )
    for estimator in UNGROUPED:
        text = refusal(recipe(settings={**settings, N: 4, ESTIMATOR: estimator}))
        assert text.startswith(
            f"{key} compares the rollouts of a group, and {ESTIMATOR}={estimator} trains on"
        )
        assert text.endswith("use grpo, or train without it.")


def test_verls_estimators_are_sorted_into_those_that_compare_groups_and_the_others():
    from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY

    assert UNGROUPED.keys() < ADV_ESTIMATOR_REGISTRY.keys()
    # A new one must be sorted into docs/verl-versions.md, and here if it compares no groups.
    assert " ".join(sorted(ADV_ESTIMATOR_REGISTRY.keys() - UNGROUPED.keys())) == (
        "gdpo gpg grpo grpo_vectorized opo optimal_token_baseline reinforce_plus_plus_baseline "
        "remax rloo rloo_vectorized tir_optimal_token_baseline"
    )


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"data.custom_cls.path": "mine.py"},
            "data.custom_cls=mine.py:CurriculumDataset replaces sparft's dataset; name it as "
            "sparft.wraps.dataset.path and .name instead.",
        ),
        (
            {"reward.reward_manager.name": "dapo"},
            "reward.reward_manager.name=dapo replaces sparft's reward manager; name it as "
            "sparft.wraps.reward_manager.name instead.",
        ),
        (
            {FILTER: {"name": "band"}, N: 4},
            f"{FILTER}.name=band refills groups one by one; set data.gen_batch_size=1.",
        ),
        (
            LEGACY,
            f"{LOOP_MANAGER} is not set, because the check before the run never met this config; "
            "launch by python -m verl.trainer.main_ppo, or call sparft_plugin.hosts.verl."
            "preflight's adopt(config) and check(config) first.",
        ),
    ],
)
def test_what_was_not_adopted_is_refused(recipe, settings, sentence):
    with pytest.raises(SparftError) as error:
        preflight.check(recipe(settings=settings))
    assert str(error.value) == sentence


def test_what_older_versions_of_verl_cannot_do_is_refused(recipe, monkeypatch):
    assert refusal(older(recipe(settings={"reward_model.enable": True}))) == (
        "reward_model.enable=True is an old key, which verl moves only after this check; name your "
        "reward model under reward.reward_model."
    )
    config = recipe(settings=LEGACY)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.7.0")
    assert refusal(config) == (
        "verl 0.7.0 is installed and sparft needs 0.7.1 or later; upgrade verl."
    )


def test_an_encoder_that_cannot_be_reached_is_refused(recipe, tmp_path):
    encoder = str(tmp_path / "no-such-model")
    assert encoder in refusal(recipe(settings={"sparft.reduction.encoder": encoder}))
    assert encoder in refusal(recipe("memory_r", {"sparft.memory.encoder": encoder}))


# On the command line

SMALL_HOST = """
import sys
import hydra

@hydra.main(config_path=sys.argv.pop(1), config_name="ppo_trainer", version_base=None)
def main(config):
    print("started", config.sparft.wraps.reward_manager.name, config.reward.reward_manager.name)

main()
"""


@pytest.fixture
def command_line(tmp_path, train_file):
    """Run hydra's main on verl's config, without verl, in an empty folder."""
    (tmp_path / "host.py").write_text(SMALL_HOST)
    start = [sys.executable, "host.py", VERL_CONFIG, f"data.train_files={train_file}"]
    return lambda *overrides: subprocess.run(
        [*start, "+sparft=sparft", *overrides], cwd=tmp_path, capture_output=True, text=True
    )


def errors(done):
    return [line for line in done.stderr.splitlines() if "error" in line.lower()]


@pytest.mark.parametrize(
    ("override", "error"),
    [
        ("data.dataloader_num_workers=4", "data.dataloader_num_workers=4 gives sparft's dataset"),
        ("data.train_files=nope.parquet", "nope.parquet does not exist"),
        (
            "sparft.memory.neighbours=3",
            "unknown option 'sparft.memory.neighbours'; did you mean 'sparft.memory.neighbors'?",
        ),
    ],
)
def test_a_wrong_command_line_ends_with_code_two_and_one_line(command_line, override, error):
    done = command_line(override)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = errors(done)
    assert line.startswith(f"sparft: error: {error}")
    assert "Traceback" not in done.stderr


def test_each_job_of_a_sweep_is_adopted_and_checked(command_line):
    recipe = ["reward.reward_manager.name=dapo", "data.dataloader_num_workers=0,4"]
    done = command_line(*recipe, "--multirun")
    started = [line for line in done.stdout.splitlines() if line.startswith("started")]
    assert started == ["started dapo FeedbackRewardManager"]
    assert done.returncode == 2
    assert errors(done)[0].startswith("sparft: error: data.dataloader_num_workers=4 gives")
