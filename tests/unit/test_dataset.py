"""The training dataset as verl makes it: twice a run, from one config, by its own function."""

from __future__ import annotations

import gc
from copy import deepcopy

import pytest
from datasets import Dataset, Image, List
from torch.utils.data import Dataset as TorchDataset
from verl.trainer.ppo.utils import create_rl_dataset
from verl.utils.dataset.rl_dataset import RLHFDataset

from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl import preflight
from sparft_plugin.hosts.verl.dataset import PATIENCE, CurriculumDataset, run_of, training_set
from sparft_plugin.hosts.verl.refusals import LOOP_MANAGER
from tests.unit.recipes import recipe as recipe_on
from tests.unit.recipes import rows, write

ROWS, BATCH = 12, 4
NAMES = pytest.mark.parametrize("name", ["uniform", "memory_r"])


class Tokenizer:
    """As many tokens as a prompt has letters."""

    def apply_chat_template(self, messages, **options):
        return {"input_ids": [0] * len(messages[0]["content"])}


class Growing(RLHFDataset):
    """A recipe's own class with a hook of verl's legacy trainer."""

    generation = 1

    def on_batch_end(self, batch):
        self.dataframe = Dataset.from_list([*self.dataframe, *batch])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return {
        "data.train_files": write(folder / "train.parquet", rows(ROWS)),
        "data.val_files": write(folder / "val.parquet", rows(3)),
        "data.train_batch_size": BATCH,
        "data.cache_dir": str(folder),
    }


@pytest.fixture
def recipe(files):
    def make(name="uniform", settings=None):
        return recipe_on(name, files | (settings or {}))

    return make


def made(config, files="train_files"):
    """Make a dataset as verl's trainers do."""
    return create_rl_dataset(
        config.data[files], config.data, Tokenizer(), None, is_train=files == "train_files"
    )


def questions(items):
    return [item["raw_prompt"][0]["content"] for item in items]


# Training and validation from the same file


@NAMES
@pytest.mark.parametrize("in_a_list", [False, True])
def test_validation_on_the_training_file_is_no_second_run(recipe, name, in_a_list):
    config = recipe(name)
    config.data.val_files = [config.data.train_files] if in_a_list else config.data.train_files
    train = made(config)
    val = made(config, "val_files")
    assert training_set(config) is train
    assert run_of(train) is train.run
    assert val.run is None
    assert val.state_dict() == {}
    assert len(val) == ROWS
    plain = val.__getitems__(range(ROWS))
    assert questions(plain) == [row["prompt"][0]["content"] for row in rows(ROWS)]
    assert all("sparft" not in item["extra_info"] for item in plain)
    # The curriculum is asked by the training set alone.
    picked = train.__getitems__(range(BATCH))
    assert {item["extra_info"]["sparft"]["pick"] for item in picked} == (
        {0, 1, 2, 3} if name == "uniform" else {None}
    )


@pytest.mark.parametrize("equal", [True, False])
def test_two_runs_of_one_process_have_a_training_set_each(recipe, equal):
    config, other = recipe(), recipe()
    if equal:
        config.data.val_files = config.data.train_files
    for _ in range(2):
        train, val = made(config), made(config, "val_files")
        assert training_set(config) is train
        assert val.run is None
    theirs = made(other)
    assert (training_set(config), training_set(other)) == (train, theirs)
    del theirs
    gc.collect()
    assert training_set(other) is None


# A launch that no hydra callback met


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"data.dataloader_num_workers": 4}, "data.dataloader_num_workers=4 gives sparft's data"),
        ({"trainer.use_v1": False}, f"{LOOP_MANAGER} is not set, because the check before the run"),
    ],
)
def test_a_launch_that_skips_the_check_is_refused_when_verl_makes_the_data(
    recipe, settings, sentence
):
    with pytest.raises(SparftError, match=f"^{sentence}"):
        made(recipe(settings=settings))


@NAMES
def test_prompts_that_nobody_brings_back_are_refused_after_some_batches(recipe, name):
    train = made(recipe(name))
    for _ in range(PATIENCE):
        train.__getitems__(range(BATCH))
    with pytest.raises(SparftError, match="44 prompts were handed out and no finished group came"):
        train.__getitems__(range(BATCH))
    run_of(train)
    for _ in range(PATIENCE):
        train.__getitems__(range(BATCH))
    # An asynchronous run begins with a stock of prompts.
    train = made(recipe(name, {"trainer.v1.trainer_mode": "separate_async"}))
    for _ in range(2 * PATIENCE):
        train.__getitems__(range(BATCH))


# The recipe's own class


def test_what_only_the_recipes_class_has_is_found_on_ours(recipe):
    own = {"sparft.wraps.dataset.path": __file__, "sparft.wraps.dataset.name": "Growing"}
    train = made(recipe("memory_r", own))
    assert isinstance(train, TorchDataset)
    assert train.generation == 1
    # As verl's legacy trainer asks and calls.
    assert hasattr(train, "on_batch_end")
    train.on_batch_end(batch=rows(ROWS + 1)[-1:])
    assert len(train) == ROWS + 1
    assert questions([train[ROWS]]) == ["What is 12 plus 1?"]
    assert not hasattr(made(recipe("memory_r")), "on_batch_end")
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = train.no_such_thing


def test_a_copy_is_made_as_the_recipes_class_has_it(recipe):
    copied = deepcopy(made(recipe(), "val_files"))
    # verl's class leaves its rows out of its state, and reads them again when it is told to.
    copied.resume_dataset_state()
    assert questions([copied[0]]) == ["What is 0 plus 1?"]
    assert CurriculumDataset.__new__(CurriculumDataset).__dict__ == {}
    assert not hasattr(CurriculumDataset.__new__(CurriculumDataset), "prompt_key")


# Images, video and audio


def with_media(path, key, media):
    """Write rows of one text and one answer that differ in their media alone."""
    table = Dataset.from_list([{**rows(1)[0], key: values} for values in media])
    if key == "images":
        table = table.cast_column("images", List(Image()))
    table.to_parquet(path)
    return str(path)


PIXEL = {"bytes": b"\x89PNG not decoded", "path": None}


@NAMES
@pytest.mark.parametrize(
    ("key", "media"), [("images", [PIXEL]), ("videos", ["a.mp4"]), ("audios", ["a.wav"])]
)
def test_rows_with_media_are_refused_by_name(recipe, tmp_path, name, key, media):
    file = with_media(tmp_path / "train.parquet", key, [[], media, media])
    config = recipe(name, {"data.train_files": file})
    sentence = f"row 1, key '{key}': holds media, and sparft knows a prompt by its text alone"
    for where, refused in ((file, preflight.check), ("data.train_files", made)):
        with pytest.raises(SparftError) as error:
            refused(config)
        assert f"{where}, {sentence}" in str(error.value)


def test_an_empty_column_of_media_is_let_through_and_the_recipes_own_names_are_known(
    recipe, tmp_path
):
    file = with_media(tmp_path / "train.parquet", "images", [[], []])
    config = recipe(settings={"data.train_files": file})
    preflight.check(config)
    assert len(made(config).pool.prompts) == 1
    file = with_media(tmp_path / "train.parquet", "videos", [["a.mp4"]])
    settings = {"data.train_files": file, "data.video_key": "films"}
    preflight.check(recipe(settings=settings))
    with pytest.raises(SparftError, match="key 'videos'"):
        preflight.check(recipe(settings={"data.train_files": file, "data.image_key": "videos"}))
