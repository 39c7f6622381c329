"""Rows that a run could not use, refused before Ray starts; and what a recipe that passed costs."""

from __future__ import annotations

import pytest

from sparft_plugin.corpus.sources import ParquetSource
from sparft_plugin.hosts.verl import preflight
from tests.unit.recipes import recipe, refusal, rows, write


def on(file, name="sparft", **settings):
    return recipe(name, {"data.train_files": file, **settings})


@pytest.fixture
def columns_read(monkeypatch):
    """Names of the columns of each reading through a parquet file, in turn."""
    read, batches = [], ParquetSource.batches

    def spied(self, names):
        read.append(list(names))
        return batches(self, names)

    monkeypatch.setattr(ParquetSource, "batches", spied)
    return read


@pytest.mark.parametrize("files", ["{0}", ["{0}"], ["{1}", "{0}"]])
def test_a_broken_row_is_refused_with_its_file_and_row(tmp_path, files):
    broken = rows()
    broken[2]["reward_model"]["ground_truth"] = None
    paths = (write(tmp_path / "broken.parquet", broken), write(tmp_path / "good.parquet", rows(13)))
    files = [file.format(*paths) for file in files] if isinstance(files, list) else paths[0]
    text = refusal(on(files))
    assert text.startswith(f"{paths[0]}, row 2")
    assert "ground_truth" in text


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"prompt": [{"role": "system", "content": "hi"}]}, "key 'prompt': no text"),
        ({"prompt": None}, "key 'prompt': must be a non-empty list"),
        ({"data_source": None}, "key 'data_source': must be a string"),
    ],
)
def test_a_row_that_a_memory_cannot_read_is_refused(tmp_path, change, named):
    broken = rows(1100)
    broken[1030] |= change
    file = write(tmp_path / "broken.parquet", broken)
    assert refusal(on(file, "memory_r")).startswith(f"{file}, row 1030, {named}")


def test_a_memory_alone_is_checked_for_what_it_reads(tmp_path, columns_read):
    lean = [{key: row[key] for key in ("data_source", "prompt")} for row in rows()]
    file = write(tmp_path / "lean.parquet", lean)
    preflight.check(on(file, "memory_r"))
    assert columns_read == [["prompt", "data_source"]]
    assert "no column 'reward_model'" in refusal(on(file))


@pytest.mark.parametrize("name", ["sparft", "memory_r"])
def test_files_that_passed_are_not_read_again_until_they_change(tmp_path, columns_read, name):
    config = on(write(tmp_path / "train.parquet", rows()), name)
    preflight.check(config)
    preflight.check(config)
    assert len(columns_read) == 1
    write(tmp_path / "train.parquet", rows(13))
    preflight.check(config)
    assert len(columns_read) == 2


def test_files_that_passed_are_checked_again_for_other_options(tmp_path):
    file = write(tmp_path / "train.parquet", rows())
    preflight.check(on(file, "memory_r"))
    preflight.check(on(file))
    text = refusal(on(file, **{"sparft.reduction.clusters": 40}))
    assert "has 12 prompts, fewer than clusters=40" in text
    assert "clusters<=12" in text
    assert "no column 'question'" in refusal(on(file, **{"data.prompt_key": "question"}))
    key = "sparft.reduction.difficulty_key"
    assert "extra_info.hardness" in refusal(on(file, **{key: "extra_info.hardness"}))
    preflight.check(on(file, **{key: "extra_info.difficulty"}))


def test_refused_files_are_read_again(tmp_path):
    config = on(write(tmp_path / "train.parquet", [*rows(), {**rows(1)[0], "data_source": None}]))
    assert refusal(config) == refusal(config)


def test_a_recipe_without_training_files_is_refused_by_key():
    assert "data.train_files" in refusal(on(None))
