"""What preflight adopts from a recipe, and what it refuses before Ray starts a worker."""

from __future__ import annotations

import copy
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from sparft_plugin.corpus.sources import ParquetSource
from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl import preflight
from sparft_plugin.hosts.verl.refusals import REPLAYS, UNGROUPED

(VERL,) = importlib.util.find_spec("verl").submodule_search_locations
VERL_CONFIG = str(Path(VERL) / "trainer" / "config")
OURS = {
    "data.custom_cls.path": "pkg://sparft_plugin.hosts.verl.dataset",
    "data.custom_cls.name": "CurriculumDataset",
    "reward.reward_manager.source": "importlib",
    "reward.reward_manager.module.path": "pkg://sparft_plugin.hosts.verl.reward_manager",
    "reward.reward_manager.name": "FeedbackRewardManager",
}


def rows(n=12):
    return [
        {
            "data_source": "sums",
            "prompt": [{"role": "user", "content": f"What is {i} plus 1?"}],
            "reward_model": {"style": "rule", "ground_truth": str(i + 1)},
            "extra_info": {"difficulty": i / 20},
        }
        for i in range(n)
    ]


def write(path, rows):
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.fixture(scope="module")
def composed(tmp_path_factory) -> dict[str, DictConfig]:
    """Composed recipes by the sparft name, on a small valid training file."""
    file = write(tmp_path_factory.mktemp("data") / "train.parquet", rows())
    with initialize_config_dir(VERL_CONFIG, version_base=None):
        return {
            name: compose("ppo_trainer", [f"+sparft={name}", f"data.train_files={file}"])
            for name in ("sparft", "memory_r")
        }


@pytest.fixture
def recipe(composed):
    """Make a recipe whose command line sets these keys over ours."""

    def make(name="sparft", settings=None):
        config = copy.deepcopy(composed[name])
        for key, value in (settings or {}).items():
            OmegaConf.update(config, key, value)
        return config

    return make


def pieces(config):
    return {key: OmegaConf.select(config, key) for key in OURS}


def wraps(config):
    return OmegaConf.to_container(config.sparft.wraps)


def refusal(config) -> str:
    preflight.adopt(config)
    with pytest.raises(SparftError) as error:
        preflight.check(config)
    return str(error.value)


# Adoption


def test_a_recipe_that_names_no_class_of_its_own_is_left_as_it_is(recipe):
    config = recipe()
    before = copy.deepcopy(config)
    preflight.adopt(config)
    assert config == before
    assert pieces(config) == OURS
    assert wraps(config) == {
        "dataset": {"path": None, "name": None},
        "reward_manager": {"source": "register", "name": "naive", "path": None},
    }


@pytest.mark.parametrize(
    ("settings", "wrapped"),
    [
        (
            {"reward.reward_manager.name": "dapo"},
            {"source": "register", "name": "dapo", "path": None},
        ),
        (
            {"reward.reward_manager.source": "register", "reward.reward_manager.name": "dapo"},
            {"source": "register", "name": "dapo", "path": None},
        ),
        (
            {
                "reward.reward_manager.source": "importlib",
                "reward.reward_manager.module.path": "mine.py",
                "reward.reward_manager.name": "Mine",
            },
            {"source": "importlib", "name": "Mine", "path": "mine.py"},
        ),
        # verl's own default name, spelt out without saying which one.
        (
            {"reward.reward_manager.source": "register"},
            {"source": "register", "name": "naive", "path": None},
        ),
    ],
)
def test_a_recipes_own_reward_manager_moves_inside_ours(recipe, settings, wrapped):
    config = recipe(settings=settings)
    preflight.adopt(config)
    assert wraps(config)["reward_manager"] == wrapped
    assert pieces(config) == OURS
    preflight.check(config)


def test_a_recipes_own_dataset_class_moves_inside_ours(recipe):
    config = recipe(settings={"data.custom_cls.path": "mine.py", "data.custom_cls.name": "Mine"})
    preflight.adopt(config)
    assert wraps(config)["dataset"] == {"path": "mine.py", "name": "Mine"}
    assert pieces(config) == OURS
    preflight.check(config)


def test_a_recipe_that_asks_for_verls_own_dataset_gets_it_inside_ours(recipe):
    config = recipe(settings={"data.custom_cls.path": None, "data.custom_cls.name": None})
    preflight.adopt(config)
    assert wraps(config)["dataset"]["path"] is None
    assert pieces(config) == OURS


def test_adopting_twice_is_adopting_once(recipe):
    config = recipe(settings={"reward.reward_manager.name": "dapo"})
    preflight.adopt(config)
    once = copy.deepcopy(config)
    preflight.adopt(config)
    assert config == once


def test_what_was_adopted_is_said_on_stderr(recipe, capsys):
    config = recipe(
        settings={
            "reward.reward_manager.name": "dapo",
            "data.custom_cls.path": "mine.py",
            "data.custom_cls.name": "Mine",
        }
    )
    preflight.adopt(config)
    assert capsys.readouterr().err == (
        "sparft: your dataset class Mine goes on working inside ours.\n"
        "sparft: your reward manager dapo goes on working inside ours.\n"
    )


# Refusals


@pytest.mark.parametrize("name", ["sparft", "memory_r"])
def test_a_preset_on_a_valid_file_is_let_through(recipe, name):
    config = recipe(name)
    preflight.adopt(config)
    before = copy.deepcopy(config)
    preflight.check(config)
    assert config == before


BUFFER = "trainer.v1.sampler.custom_sampler"


@pytest.mark.parametrize(
    ("settings", "key", "mend"),
    [
        (
            {"data.dataloader_num_workers": 4},
            "data.dataloader_num_workers=4",
            "remove it from your overrides or set it to 0.",
        ),
        (
            {"data.shuffle": True},
            "data.shuffle=True",
            "remove it from your overrides or set it to False.",
        ),
        (
            {f"{BUFFER}.path": "mine.py", f"{BUFFER}.name": "MyBuffer"},
            f"{BUFFER}=mine.py:MyBuffer",
            "remove it from your overrides.",
        ),
        (
            {f"{BUFFER}.path": None, f"{BUFFER}.name": None},
            f"{BUFFER}=None:None",
            "remove it from your overrides.",
        ),
        (
            {"trainer.v1.trainer_mode": "mine"},
            "trainer.v1.trainer_mode=mine",
            "use sync or colocate_async or separate_async.",
        ),
    ],
)
def test_what_would_not_work_is_refused_with_its_key_and_the_mend(recipe, settings, key, mend):
    text = refusal(recipe(settings=settings))
    assert text.startswith(key)
    assert mend in text


@pytest.mark.parametrize("mode", ["sync", "colocate_async", "separate_async"])
def test_each_of_verls_own_trainer_modes_is_let_through(recipe, mode):
    preflight.check(recipe(settings={"trainer.v1.trainer_mode": mode}))


def test_a_recipe_without_a_curriculum_may_shuffle(recipe):
    preflight.check(recipe("memory_r", {"data.shuffle": True}))


def test_a_group_filter_makes_verl_fetch_prompts_one_by_one_as_its_own_does(recipe, capsys):
    settings = {"sparft.group_filter": {"name": "mixed_only"}, "data.gen_batch_size": 8}
    settings["actor_rollout_ref.rollout.n"] = 4
    config = recipe(settings=settings)
    preflight.adopt(config)
    preflight.check(config)
    assert config.data.gen_batch_size == 1
    assert config.trainer.v1.sampler.sampler_kwargs.gen_batch_size == 1
    assert config.trainer.v1.sampler.sampler_kwargs.group_filter == {"name": "mixed_only"}
    assert "data.gen_batch_size is set to 1" in capsys.readouterr().err


def test_without_a_group_filter_the_batch_of_prompts_is_left_alone(recipe):
    config = recipe(settings={"data.gen_batch_size": 8, "sparft.group_filter": None})
    preflight.adopt(config)
    assert config.data.gen_batch_size == 8


@pytest.mark.parametrize(
    ("metric", "mend"),
    [
        ("reward", "reads the reward to which sparft.memory adds"),
        (None, "filters nothing without a metric"),
    ],
)
def test_a_filter_of_verls_that_does_not_see_accuracy_is_refused(recipe, metric, mend):
    settings = {"algorithm.filter_groups": {"enable": True, "metric": metric}}
    text = refusal(recipe("memory_r", settings))
    assert mend in text
    assert text.endswith("set algorithm.filter_groups.metric=acc.")


def test_a_group_filter_that_can_keep_nothing_is_refused(recipe):
    settings = {"sparft.group_filter": {"name": "mixed_only"}, "actor_rollout_ref.rollout.n": 1}
    assert refusal(recipe(settings=settings)) == (
        "sparft.group_filter.name=mixed_only keeps no group of actor_rollout_ref.rollout.n=1 "
        "rollouts; raise n or remove the filter."
    )


def test_a_group_filter_that_verl_would_refill_by_the_batch_is_refused(recipe):
    settings = {"sparft.group_filter": {"name": "band"}, "actor_rollout_ref.rollout.n": 4}
    # As where nothing was adopted.
    with pytest.raises(SparftError, match="refills groups one by one; set data.gen_batch_size=1"):
        preflight.check(recipe(settings=settings))


MODEL = "reward.reward_model"
JUDGE = {f"{MODEL}.enable": True, "reward.custom_reward_function.path": "judge.py"}


@pytest.mark.parametrize("use_v1", [True, False])
def test_a_reward_model_is_let_through_where_a_function_asks_it(recipe, use_v1):
    config = recipe(settings={**JUDGE, f"{MODEL}.enable_resource_pool": True})
    config.trainer.use_v1 = use_v1
    preflight.adopt(config)
    preflight.check(config)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({f"{MODEL}.enable": True}, "asks nobody for an accuracy"),
        (
            {f"{MODEL}.enable": True, f"{MODEL}.enable_resource_pool": True},
            "set reward.custom_reward_function.path to a function that asks the model",
        ),
        (JUDGE, "set reward.reward_model.enable_resource_pool=True with n_gpus_per_node and"),
    ],
)
def test_every_other_reward_model_is_refused_with_its_reason(recipe, settings, why):
    text = refusal(recipe("sparft", settings))
    assert text.startswith("reward.reward_model.enable=True")
    assert why in text


@pytest.mark.parametrize("use_v1", [True, False])
@pytest.mark.parametrize("key", REPLAYS)
def test_replayed_rollouts_are_refused_by_the_keys_of_every_version(recipe, key, use_v1):
    config = recipe(settings={"trainer.use_v1": use_v1})
    OmegaConf.update(config, key, True, force_add=True)
    assert refusal(config) == (
        f"{key}=True replays rollouts that answer other picks, which teach sparft a falsehood; "
        "remove it."
    )


def test_the_installed_verl_knows_the_keys_of_its_replays(recipe):
    known = [key for key in REPLAYS if OmegaConf.select(recipe(), key) is False]
    assert known == ["skip.rollout.enable", "skip.rollout_tq.enable"]


# Groups

N, ESTIMATOR = "actor_rollout_ref.rollout.n", "algorithm.adv_estimator"
COMPARES = [
    ({"sparft.curriculum": {"name": "sec"}}, "sparft.curriculum.name=sec"),
    ({"sparft.curriculum": {"name": "dump"}}, "sparft.curriculum.name=dump"),
    ({"sparft.curriculum": {"name": "uniform", "retest": 3}}, "sparft.curriculum.retest"),
]


@pytest.mark.parametrize(("settings", "key"), COMPARES)
def test_what_compares_the_rollouts_of_a_group_needs_some(recipe, settings, key):
    assert refusal(recipe(settings={**settings, N: 1, ESTIMATOR: "grpo"})) == (
        f"{key} compares the rollouts of a group, and {N}=1 makes groups of one; raise n, or "
        "train without it."
    )
    preflight.check(recipe(settings={**settings, N: 2, ESTIMATOR: "grpo"}))


@pytest.mark.parametrize(("settings", "key"), COMPARES)
@pytest.mark.parametrize("estimator", ["gae", "reinforce_plus_plus", "grpo_passk"])
def test_an_estimator_that_compares_no_groups_is_refused_where_a_method_does(
    recipe, settings, key, estimator
):
    text = refusal(recipe(settings={**settings, N: 4, ESTIMATOR: estimator}))
    assert text.startswith(f"{key} compares the rollouts of a group, and {ESTIMATOR}={estimator} ")
    assert text.endswith("use grpo, or train without it.")


def test_verls_estimators_are_sorted_into_those_that_compare_groups_and_the_others():
    from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY

    assert UNGROUPED.keys() < ADV_ESTIMATOR_REGISTRY.keys()
    # A new one must be sorted into docs/verl-versions.md, and here if it compares no groups.
    assert ADV_ESTIMATOR_REGISTRY.keys() - UNGROUPED.keys() == {
        "grpo",
        "grpo_vectorized",
        "gdpo",
        "gpg",
        "opo",
        "optimal_token_baseline",
        "reinforce_plus_plus_baseline",
        "remax",
        "rloo",
        "rloo_vectorized",
        "tir_optimal_token_baseline",
    }


@pytest.mark.parametrize("estimator", ["grpo", "rloo", "reinforce_plus_plus_baseline", "mine"])
def test_other_estimators_are_let_through(recipe, estimator):
    settings = {"sparft.curriculum": {"name": "sec"}, N: 4, ESTIMATOR: estimator}
    preflight.check(recipe(settings=settings))


def test_a_method_that_reads_the_pass_rate_takes_one_rollout_and_a_critic(recipe):
    preflight.check(recipe(settings={N: 1, ESTIMATOR: "gae"}))


def test_remax_is_refused_whatever_the_method(recipe):
    text = refusal(recipe("memory_r", {ESTIMATOR: "remax"}))
    assert text.startswith(f"{ESTIMATOR}=remax is not supported: its greedy baselines would be")


def test_an_estimator_that_does_not_read_the_sum_of_rewards_is_refused_with_a_memory(recipe):
    assert refusal(recipe("memory_r", {ESTIMATOR: "gdpo"})) == (
        f"{ESTIMATOR}=gdpo reads the parts of the reward by their names and not their sum, to "
        "which sparft.memory adds; use grpo or a sparft name without a memory."
    )
    preflight.check(recipe("sparft", {ESTIMATOR: "gdpo"}))


@pytest.mark.parametrize(
    ("settings", "key", "mend"),
    [
        (
            {"data.custom_cls.path": "mine.py"},
            "data.custom_cls=mine.py:CurriculumDataset replaces sparft's dataset",
            "name it as sparft.wraps.dataset.path and .name instead.",
        ),
        (
            {"reward.reward_manager.name": "dapo"},
            "reward.reward_manager.name=dapo replaces sparft's reward manager",
            "name it as sparft.wraps.reward_manager.name instead.",
        ),
    ],
)
def test_a_piece_that_was_not_adopted_is_refused(recipe, settings, key, mend):
    with pytest.raises(SparftError) as error:
        preflight.check(recipe(settings=settings))
    assert str(error.value) == f"{key}; {mend}"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"sparft.curriculum.name": "unifrom"}, "unknown curriculum 'unifrom'; did you mean"),
        ({"sparft.reduction.selector": "farthest"}, "unknown selector 'farthest'; did you mean"),
        ({"sparft.reduction.embedder": "sentence"}, "unknown embedder 'sentence'; did you mean"),
        ({"sparft.seed": -1}, "sparft.seed=-1"),
    ],
)
def test_a_wrong_section_is_refused(recipe, settings, named):
    assert refusal(recipe(settings=settings)).startswith(named)


def test_an_encoder_that_cannot_be_reached_is_refused(recipe, tmp_path):
    encoder = str(tmp_path / "no-such-model")
    assert encoder in refusal(recipe(settings={"sparft.reduction.encoder": encoder}))
    assert encoder in refusal(recipe("memory_r", {"sparft.memory.encoder": encoder}))


def test_more_clusters_than_prompts_are_refused_with_the_most_there_can_be(recipe):
    text = refusal(recipe(settings={"sparft.reduction.clusters": 40}))
    assert "has 12 prompts, fewer than clusters=40" in text
    assert "clusters<=12" in text


def test_a_missing_training_file_is_refused_by_name(recipe, tmp_path):
    file = str(tmp_path / "nope.parquet")
    assert refusal(recipe(settings={"data.train_files": file})).startswith(f"{file} does not exist")


@pytest.mark.parametrize("files", ["{0}", ["{0}"], ["{1}", "{0}"]])
def test_a_broken_row_is_refused_with_its_file_and_row(recipe, tmp_path, files):
    broken = rows()
    broken[2]["reward_model"]["ground_truth"] = None
    paths = (write(tmp_path / "broken.parquet", broken), write(tmp_path / "good.parquet", rows(13)))
    files = [file.format(*paths) for file in files] if isinstance(files, list) else str(paths[0])
    text = refusal(recipe(settings={"data.train_files": files}))
    assert text.startswith(f"{paths[0]}, row 2")
    assert "ground_truth" in text


@pytest.fixture
def columns_read(monkeypatch):
    """Names of the columns of each reading through a parquet file, in turn."""
    read, batches = [], ParquetSource.batches

    def spied(self, names):
        read.append(list(names))
        return batches(self, names)

    monkeypatch.setattr(ParquetSource, "batches", spied)
    return read


def test_a_memory_alone_is_checked_for_what_it_reads(recipe, tmp_path, columns_read):
    lean = [{key: row[key] for key in ("data_source", "prompt")} for row in rows()]
    file = str(write(tmp_path / "lean.parquet", lean))
    preflight.check(recipe("memory_r", {"data.train_files": file}))
    assert columns_read == [["prompt", "data_source"]]
    assert "no column 'reward_model'" in refusal(recipe(settings={"data.train_files": file}))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"prompt": [{"role": "system", "content": "hi"}]}, "key 'prompt': no text"),
        ({"prompt": None}, "key 'prompt': must be a non-empty list"),
        ({"data_source": None}, "key 'data_source': must be a string"),
    ],
)
def test_a_row_that_a_memory_cannot_read_is_refused(recipe, tmp_path, change, named):
    broken = rows(1100)
    broken[1030] |= change
    file = write(tmp_path / "broken.parquet", broken)
    text = refusal(recipe("memory_r", {"data.train_files": str(file)}))
    assert text.startswith(f"{file}, row 1030, {named}")


@pytest.mark.parametrize("name", ["sparft", "memory_r"])
def test_files_that_passed_are_not_read_again_until_they_change(
    recipe, tmp_path, columns_read, name
):
    file = write(tmp_path / "train.parquet", rows())
    config = recipe(name, {"data.train_files": str(file)})
    preflight.check(config)
    preflight.check(config)
    assert len(columns_read) == 1
    write(file, rows(13))
    preflight.check(config)
    assert len(columns_read) == 2


def test_files_that_passed_are_checked_again_for_other_options(recipe, tmp_path):
    settings = {"data.train_files": str(write(tmp_path / "train.parquet", rows()))}
    preflight.check(recipe("memory_r", settings))
    preflight.check(recipe(settings=settings))
    assert "fewer than clusters=40" in refusal(
        recipe(settings=settings | {"sparft.reduction.clusters": 40})
    )
    assert "no column 'question'" in refusal(
        recipe(settings=settings | {"data.prompt_key": "question"})
    )


def test_refused_files_are_read_again(recipe, tmp_path):
    file = write(tmp_path / "train.parquet", [*rows(), {**rows(1)[0], "data_source": None}])
    config = recipe(settings={"data.train_files": str(file)})
    assert refusal(config) == refusal(config)


def test_a_missing_difficulty_is_refused_when_the_reduction_asks_for_it(recipe):
    config = recipe(settings={"sparft.reduction.difficulty_key": "extra_info.hardness"})
    assert "extra_info.hardness" in refusal(config)
    preflight.check(recipe(settings={"sparft.reduction.difficulty_key": "extra_info.difficulty"}))


def test_files_that_a_recipes_own_dataset_reads_are_its_own_business(recipe, tmp_path):
    settings = {
        "data.custom_cls.path": "mine.py",
        "data.custom_cls.name": "Mine",
        "data.train_files": str(tmp_path / "nope.parquet"),
    }
    config = recipe(settings=settings)
    preflight.adopt(config)
    preflight.check(config)


def test_files_on_hdfs_are_left_to_verl_which_copies_them(recipe):
    preflight.check(recipe(settings={"data.train_files": "hdfs://cluster/train.parquet"}))


def test_a_recipe_without_training_files_is_refused_by_key(recipe):
    assert "data.train_files" in refusal(recipe(settings={"data.train_files": None}))


# On the command line

SMALL_HOST = """
import sys
import hydra

@hydra.main(config_path=sys.argv.pop(1), config_name="ppo_trainer", version_base=None)
def main(config):
    print("started", config.sparft.wraps.reward_manager.name, config.reward.reward_manager.name)

main()
"""


def command_line(folder, start, *overrides):
    """Run a command line in an empty folder; hydra's own output stays there."""
    return subprocess.run(
        [sys.executable, *start, "+sparft=sparft", *overrides],
        cwd=folder,
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
        capture_output=True,
        text=True,
    )


def errors(done):
    return [line for line in done.stderr.splitlines() if "error" in line.lower()]


@pytest.fixture
def host(tmp_path):
    """What runs verl's config without verl: hydra's main and a task that says it started."""
    (tmp_path / "host.py").write_text(SMALL_HOST)
    write(tmp_path / "train.parquet", rows())
    return [tmp_path / "host.py", VERL_CONFIG, "data.train_files=train.parquet"]


def test_a_good_command_line_starts_with_the_recipes_own_manager_inside_ours(host, tmp_path):
    done = command_line(tmp_path, host, "reward.reward_manager.name=dapo")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "started dapo FeedbackRewardManager"


@pytest.mark.parametrize(
    ("override", "error"),
    [
        ("data.dataloader_num_workers=4", "data.dataloader_num_workers=4 gives sparft's dataset"),
        ("+sparft.curriculum.sigma=wide", "sparft.curriculum.sigma="),
        (
            "sparft.memory.neighbours=3",
            "unknown option 'sparft.memory.neighbours'; did you mean 'sparft.memory.neighbors'?",
        ),
    ],
)
def test_a_wrong_command_line_ends_with_code_two_and_one_line(host, tmp_path, override, error):
    done = command_line(tmp_path, host, override)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(errors(done)) == 1
    assert errors(done)[0].startswith(f"sparft: error: {error}")
    assert "Traceback" not in done.stderr


def test_each_job_of_a_sweep_is_adopted_and_checked(host, tmp_path):
    recipe = ["reward.reward_manager.name=dapo", "data.dataloader_num_workers=0,4"]
    done = command_line(tmp_path, host, *recipe, "--multirun")
    started = [line for line in done.stdout.splitlines() if line.startswith("started")]
    assert started == ["started dapo FeedbackRewardManager"]
    assert done.returncode == 2
    assert errors(done)[0].startswith("sparft: error: data.dataloader_num_workers=4 gives")


def test_a_sweep_takes_any_text_of_the_recipe_as_it_is(recipe):
    text = 'a "b", c\'s =[x].py'
    config = recipe(settings={"data.custom_cls.path": text, "data.custom_cls.name": "Mine"})
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


def test_verl_ends_with_code_two_and_one_line_on_broken_data_before_ray_starts(tmp_path):
    broken = rows()
    broken[1]["prompt"] = []
    write(tmp_path / "broken.parquet", broken)
    main = ["-m", "verl.trainer.main_ppo"]
    done = command_line(tmp_path, main, "data.train_files=broken.parquet")
    assert done.returncode == 2
    assert len(errors(done)) == 1
    assert re.match(r"sparft: error: broken\.parquet, row 1\b.*prompt", errors(done)[0])
    assert "Traceback" not in done.stderr
    assert "ray" not in done.stdout.lower()
