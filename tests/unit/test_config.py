"""The ``sparft`` section: checked values, presets that compose, and nothing when it is off."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import MissingConfigException
from omegaconf import DictConfig, OmegaConf

from sparft_plugin.config.arguments import check_overrides
from sparft_plugin.config.schema import SparftConfig, WrappedDataset, WrappedRewardManager, Wraps
from sparft_plugin.curriculum.sparft import SparftCurriculum
from sparft_plugin.curriculum.uniform import UniformCurriculum
from sparft_plugin.errors import SparftError
from sparft_plugin.memory.memory_r import MemoryR
from sparft_plugin.memory.memory_r_plus import MemoryRPlus
from sparft_plugin.reduction import ReductionConfig
from tests.unit.recipes import VERL_CONFIG


def compose_recipe(*overrides: str) -> DictConfig:
    """verl's own config with these overrides, as its command line composes it."""
    with initialize_config_dir(VERL_CONFIG, version_base=None):
        return compose("ppo_trainer", list(overrides))


def section_of(config: DictConfig) -> dict:
    return OmegaConf.to_container(config.sparft, resolve=True)


def checked(*told: str) -> SparftConfig:
    """A section as a command line would write it, without the ``sparft.`` before each key."""
    return SparftConfig.from_mapping(OmegaConf.to_container(OmegaConf.from_dotlist(list(told))))


def refusal(*told: str) -> str:
    with pytest.raises(SparftError) as error:
        checked(*told)
    return str(error.value)


# The checked section


def test_an_empty_section_asks_for_nothing():
    config = checked()
    assert config == SparftConfig()
    assert (config.seed, config.reduction) == (0, None)
    assert config.build_curriculum() is config.build_memory() is None
    assert config.wraps == Wraps(WrappedDataset(None, None), WrappedRewardManager())
    assert checked("reduction={}").reduction == ReductionConfig()


def test_every_value_reaches_its_place():
    config = checked(
        *("seed=7", "reduction.clusters=3", "reduction.difficulty_key=extra_info.difficulty"),
        *("curriculum.name=sparft", "curriculum.sigma=0.5", "curriculum.draw=step"),
        *("memory.name=memory_r_plus", "memory.encoder=tiny", "memory.warmup_steps=3"),
        *(
            "wraps.dataset.path=mine.py",
            "wraps.dataset.name=Mine",
            "wraps.reward_manager.name=dapo",
        ),
    )
    assert config.seed == 7
    assert config.reduction == ReductionConfig(clusters=3, difficulty_key="extra_info.difficulty")
    curriculum, memory = config.build_curriculum(), config.build_memory()
    assert isinstance(curriculum, SparftCurriculum)
    assert (curriculum.sigma, curriculum.draw) == (0.5, "step")
    assert config.build_curriculum() is not curriculum
    assert isinstance(memory, MemoryRPlus)
    assert (memory.encoder, memory.warmup_steps) == ("tiny", 3)
    assert config.wraps.dataset == WrappedDataset("mine.py", "Mine")
    assert config.wraps.reward_manager == WrappedRewardManager("register", "dapo", None)


E, MEMORY = "embedder 'sentence_transformers'", ("memory.name=memory_r", "memory.encoder=tiny")
UNKNOWN = [
    ("curiculum=null", "option of sparft 'curiculum'", "curriculum"),
    ("sead=1", "option of sparft 'sead'", "seed"),
    ("reduction.cluster=3", "option of sparft.reduction 'cluster'", "clusters"),
    ("reduction.selector_options.x=1", "option of the selector 'farthest_point' 'x'", None),
    ("reduction.embedder_options.precison=9", f"option of the {E} 'precison'", "precision"),
    ("curriculum={name: sparft, sigmma: 1}", "option of the curriculum 'sparft' 'sigmma'", "sigma"),
    ("memory.neighbours=1", "option of the intrinsic reward 'memory_r' 'neighbours'", "neighbors"),
    ("wraps.data_set={}", "option of sparft.wraps 'data_set'", "dataset"),
    ("wraps.dataset.paht=1", "option of sparft.wraps.dataset 'paht'", "path"),
    ("wraps.reward_manager.nam=1", "option of sparft.wraps.reward_manager 'nam'", "name"),
    ("curriculum.name=unifrom", "curriculum 'unifrom'", "uniform"),
    ("memory.name=memory_rplus", "intrinsic reward 'memory_rplus'", "memory_r_plus"),
    ("reduction.selector=farthest", "selector 'farthest'", "farthest_point"),
    ("reduction.embedder=sentences", "embedder 'sentences'", "sentence_transformers"),
]


@pytest.mark.parametrize(("told", "named", "meant"), UNKNOWN)
def test_an_unknown_name_is_refused_with_the_nearest(told, named, meant):
    hint = f"; did you mean '{meant}'?" if meant else "."
    assert f"unknown {named}{hint} Known: " in refusal(*MEMORY, told)


@pytest.mark.parametrize("section", ["curriculum", "memory"])
@pytest.mark.parametrize("given", ["sparft", "{}", "{sigma: 1}", "{name: null}", "{name: 3}"])
def test_a_method_without_a_name_is_refused_with_the_way_to_write_it(section, given):
    expected = f"sparft.{section} must hold a name; write sparft.{section}.name=NAME."
    assert refusal(f"{section}={given}") == expected


SHARE = "must be a share between 0 and 1."
WRONG = [
    *[(f"seed={s}", "must be a whole number of at least 0.") for s in ("-1", "1.5", "x", "true")],
    *[(f"max_incomplete={s}", SHARE) for s in ("-0.1", "1.5", "true", "2%", "null")],
    *[(f"{s}=yes", "must be a section with options.") for s in ("reduction", "memory_encoder")],
    ("wraps=no-section", "sparft.wraps='no-section' must be a section with options."),
    ("accuracy=acc>1", "sparft.accuracy='acc>1' has none of the forms"),
    ("curriculum={name: uniform, sigma: 1.0}", "'uniform' 'sigma'"),
    ("memory.encoder=null", "encoder"),
    ("memory.scope=actor", "'scope'"),
    ("memory.fade=maybe", "sparft.memory.fade='maybe' must be true or false."),
    ("memory.neighbors=0", "neighbors"),
    ("memory.window=long", "window"),
    ("reduction.clusters=0", "clusters"),
    ("reduction.selector_options=3", "selector_options must map names"),
    ("reduction.embedder_options.model=x", "is set by encoder; drop it"),
    ("reduction={selector: medoid, selector_options: {sample: 0}}", "sample of the"),
    ("reduction.difficulty_weight=-1.0", "difficulty_weight"),
    ("curriculum={name: sparft, sigma: 0}", "sigma"),
    ("curriculum={name: sparft, sigma: wide}", "sigma"),
    ("curriculum={name: sparft, draw: batch}", "draw"),
]


@pytest.mark.parametrize(("told", "problem"), WRONG)
def test_a_value_out_of_its_range_is_refused_by_name(told, problem):
    assert problem in refusal(*MEMORY, told)


def test_the_fade_is_told_beside_the_methods_own_options():
    assert not checked(*MEMORY).fade
    config = checked(*MEMORY, "memory.window=7", "memory.fade=true")
    options = config.build_memory().options()
    assert (config.fade, options["window"]) == (True, 7)
    assert "fade" not in options


# Overrides on a command line, before hydra sees them


@pytest.mark.parametrize("override", ["{}=3", "+{}=3", "++{}=3", "~{}"])
def test_a_misspelt_override_is_refused_with_the_nearest_option(override):
    with pytest.raises(SparftError) as error:
        check_overrides(["data.seed=1", override.format("sparft.memory.neighbours")])
    assert str(error.value).startswith(
        "unknown option 'sparft.memory.neighbours'; did you mean 'sparft.memory.neighbors'? Known: "
    )


def test_options_of_installed_methods_and_what_is_not_below_sparft_are_let_through():
    check_overrides(
        [
            *("sparft.seed=3", "sparft.curriculum=null", "~sparft.memory", "+sparft=sparft_memory"),
            *("+sparft.curriculum.sigma=0.5", "++sparft.curriculum.draw=step"),
            *("sparft.reduction.clusters=4", "+sparft.reduction.selector_options.sample=500"),
            "+sparft.reduction.embedder_options.precision=bfloat16",
            *("+sparft.memory.warmup_steps=10", "sparft.memory.neighbors=3"),
            *("sparft.wraps.dataset.path=mine.py", "sparft.wraps.reward_manager.name=dapo"),
            *("data.sparft.memory.x=1", "sparftish.y=1", "--help", "file.sparft.z", ""),
        ]
    )


# Presets


@pytest.mark.parametrize(
    ("preset", "reduction", "curriculum", "memory"),
    [
        ("memory_r", None, None, MemoryR),
        ("memory_r_plus", None, None, MemoryRPlus),
        ("sparft", ReductionConfig(), SparftCurriculum, None),
        ("sparft_memory", ReductionConfig(), SparftCurriculum, MemoryRPlus),
        ("uniform", None, UniformCurriculum, None),
    ],
)
def test_a_preset_composes_into_a_checked_section(preset, reduction, curriculum, memory):
    recipe = compose_recipe(f"+sparft={preset}")
    config = SparftConfig.from_mapping(section_of(recipe))
    assert config.reduction == reduction
    built = config.build_curriculum()
    assert type(built) is (curriculum or type(None))
    assert type(config.build_memory()) is (memory or type(None))
    # A curriculum orders the prompts itself; without one the recipe's own order stands.
    assert recipe.data.shuffle is (curriculum is None)
    assert recipe.data.dataloader_num_workers == 0
    assert recipe.data.custom_cls.name == "CurriculumDataset"
    assert recipe.reward.reward_manager.name == "FeedbackRewardManager"
    assert recipe.trainer.v1.sampler.custom_sampler.name == "FeedbackReplayBuffer"


def test_the_numbers_of_a_preset_are_the_defaults_of_the_classes():
    section = section_of(compose_recipe("+sparft=sparft_memory"))
    memory = {"name": "memory_r_plus", "encoder": section["memory"]["encoder"]}
    defaults = SparftConfig.from_mapping({"memory": memory}).build_memory()
    given = SparftConfig.from_mapping(section).build_memory()
    for option in set(section["memory"]) - {"name", "fade"}:
        assert getattr(given, option) == getattr(defaults, option)
    assert section["memory"]["fade"] is False
    assert SparftConfig.from_mapping(section).reduction == ReductionConfig()


def test_options_of_methods_are_added_with_a_plus_and_one_seed_seeds_all():
    section = section_of(
        compose_recipe(
            "+sparft=sparft_memory",
            "sparft.seed=9",
            "+sparft.curriculum.sigma=0.25",
            "+sparft.memory_encoder.precision=bfloat16",
        )
    )
    assert (section["seed"], section["reduction"]["seed"]) == (9, 9)
    config = SparftConfig.from_mapping(section)
    assert config.build_curriculum().sigma == 0.25
    assert config.memory_encoder == {"precision": "bfloat16"}


def test_the_replay_buffer_gets_the_settings_that_verl_keeps_to_its_own():
    recipe = compose_recipe(
        "+sparft=sparft",
        "data.train_batch_size=12",
        "+data.gen_batch_size=24",
        "algorithm.filter_groups.enable=True",
        "algorithm.filter_groups.metric=acc",
    )
    given = OmegaConf.to_container(recipe.trainer.v1.sampler.sampler_kwargs, resolve=True)
    assert given["train_batch_size"] == 12
    assert given["gen_batch_size"] == 24
    assert (given["filter_groups"]["enable"], given["filter_groups"]["metric"]) == (True, "acc")
    assert given["sync_refill_failed_groups"] is (
        recipe.trainer.v1.sampler.sync_refill_failed_groups
    )


def test_an_unknown_preset_is_refused_with_the_list_of_presets():
    with pytest.raises(MissingConfigException) as error:
        compose_recipe("+sparft=nonsense")
    listed = re.search(r"Available options in 'sparft':\n((?:\t\w+\n)+)", str(error.value))
    presets = ["memory_r", "memory_r_plus", "sparft", "sparft_memory", "uniform"]
    assert listed.group(1).split() == presets


# Off means off

WITHOUT_US = """
    import sys


    class Absent:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in ("sparft_plugin", "hydra_plugins"):
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)


    sys.meta_path.insert(0, Absent())

    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    with initialize_config_dir(sys.argv[1], version_base=None):
        # Where there is no group of that name, hydra takes it for a plain value.
        assert compose("ppo_trainer", ["+sparft=sparft"]).sparft == "sparft"
        print(OmegaConf.to_yaml(compose("ppo_trainer")), end="")
"""


def test_without_a_name_the_config_is_what_it_is_without_the_package(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(WITHOUT_US), VERL_CONFIG],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "actor_rollout_ref:" in done.stdout, done.stderr
    assert OmegaConf.to_yaml(compose_recipe()) == done.stdout
    assert "sparft" not in done.stdout


def test_a_name_changes_only_the_keys_where_we_attach():
    plain, ours = compose_recipe(), compose_recipe("+sparft=sparft")
    places = {
        "data": "sparft shuffle custom_cls.path custom_cls.name dataloader_num_workers",
        "reward.reward_manager": "source name module.path",
        "trainer.v1.sampler.custom_sampler": "path name",
        "trainer.v1.sampler.sampler_kwargs": "filter_groups group_filter accuracy rollouts "
        "train_batch_size gen_batch_size sync_refill_failed_groups",
    }
    attached = {f"{place}.{key}" for place, keys in places.items() for key in keys.split()}
    changed = {".".join(key) for key in differences(plain, ours)}
    assert changed == {"sparft", *attached}


def differences(one: DictConfig, other: DictConfig) -> list[tuple[str, ...]]:
    """Paths of the keys that are new, gone or changed."""
    one, other = (OmegaConf.to_container(config, resolve=False) for config in (one, other))

    def walk(left, right, path):
        if isinstance(left, dict) and isinstance(right, dict):
            for key in left.keys() | right.keys():
                yield from walk(left.get(key, ...), right.get(key, ...), (*path, str(key)))
        elif left != right:
            yield path

    return list(walk(one, other, ()))
