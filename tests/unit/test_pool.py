"""The pool that a recipe's dataset gives to the curriculum."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import Dataset
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from sparft_plugin.config.schema import SparftConfig
from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl import preflight
from sparft_plugin.hosts.verl.pool import Pool
from sparft_plugin.hosts.verl.training import TrainingRun
from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction import ReductionConfig, reduce
from tests.unit.reduction_data import (
    WIDTH,
    HashEmbedder,
    registered,
    row,
    sums,
    vector,
    write,
    write_out,
)

REDUCTION = {"embedder": "hash", "encoder": "tiny", "clusters": 3, "per_cluster": 4}
PCL = {"name": "pcl", "ridge": 0.1}


@pytest.fixture(autouse=True)
def _hash_embedder() -> Iterator[None]:
    HashEmbedder.calls.clear()
    with registered(embedders={"hash": HashEmbedder}):
        yield


def pool_of(rows: list[dict[str, Any]], **section: Any) -> tuple[Pool, SparftConfig]:
    options = SparftConfig.from_mapping(section)
    dataset = SimpleNamespace(dataframe=Dataset.from_list(rows))
    return Pool.from_dataset(dataset, OmegaConf.create({"prompt_key": "prompt"}), options), options


def expected(pool: Pool) -> np.ndarray:
    """The vector of each prompt's text, by hand, in the order of the pool."""
    return np.stack([vector(pool.texts[identity.decode()]) for identity in pool.prompts.ids])


def test_a_method_that_asks_for_them_gets_the_vectors_of_the_kept_prompts() -> None:
    pool, _ = pool_of(sums(30), curriculum=PCL, reduction=REDUCTION)
    assert len(pool.prompts) == 12
    assert pool.prompts.embeddings is not None
    assert pool.prompts.embeddings.shape == (12, WIDTH)
    np.testing.assert_array_equal(pool.prompts.embeddings, expected(pool))


def test_texts_that_the_reduction_encoded_are_not_encoded_again() -> None:
    pool_of(sums(30), curriculum=PCL, reduction=REDUCTION)
    assert HashEmbedder.calls == [30]
    pool_of(sums(30), curriculum=PCL, reduction=REDUCTION)
    assert HashEmbedder.calls == [30]


def test_a_reduced_file_gets_vectors_too(tmp_path: Path) -> None:
    file = write(tmp_path / "train.parquet", sums(30))
    reduction = reduce(PromptTable.from_parquet(file), ReductionConfig(**REDUCTION))
    write_out([file], reduction, tmp_path / "reduced.parquet")
    rows = pq.read_table(tmp_path / "reduced.parquet").to_pylist()
    pool, _ = pool_of(rows, curriculum=PCL, reduction=REDUCTION)
    assert pool.prompts.n_arms == 3
    np.testing.assert_array_equal(pool.prompts.embeddings, expected(pool))


def test_without_a_reduction_the_default_encoder_reads_every_prompt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sparft_plugin.hosts.verl.pool.ReductionConfig", _hashing)
    pool, _ = pool_of(sums(7), curriculum=PCL)
    assert pool.prompts.n_arms == 1
    np.testing.assert_array_equal(pool.prompts.embeddings, expected(pool))


def _hashing() -> ReductionConfig:
    return ReductionConfig(embedder="hash", encoder="tiny")


def test_a_wrapped_method_gets_them() -> None:
    pool, options = pool_of(
        sums(30), curriculum={**PCL, "retest": 20, "share_floor": 0.1}, reduction=REDUCTION
    )
    np.testing.assert_array_equal(pool.prompts.embeddings, expected(pool))
    run = TrainingRun(options, pool.prompts, pool.texts.__getitem__)
    assert len({pick.prompt.id for pick in run.select(6)}) == 6


def test_other_methods_cost_no_encoding() -> None:
    pool, _ = pool_of(sums(30), curriculum={"name": "uniform"})
    assert pool.prompts.embeddings is None
    assert HashEmbedder.calls == []


def test_two_prompts_of_one_text_have_one_vector() -> None:
    rows = [row("2 + 2?", "4"), {**row("2 + 2?", "4"), "data_source": "other"}, row("3 + 3?", "6")]
    pool, _ = pool_of(rows, curriculum=PCL, reduction={**REDUCTION, "clusters": 1})
    assert len(pool.prompts) == 3
    np.testing.assert_array_equal(pool.prompts.embeddings, expected(pool))


def test_rows_and_texts_belong_to_the_prompts() -> None:
    rows = sums(9)
    pool, _ = pool_of(rows, curriculum={"name": "uniform"})
    for identity in pool.prompts.ids:
        at = pool.row_of[identity.decode()]
        assert pool.texts[identity.decode()] == rows[at]["prompt"][0]["content"]


def test_a_dataset_without_rows_is_refused() -> None:
    options = SparftConfig.from_mapping({"curriculum": PCL})
    with pytest.raises(SparftError, match="has no 'dataframe'"):
        Pool.from_dataset(object(), OmegaConf.create({"prompt_key": "prompt"}), options)


def test_preflight_accepts_a_method_that_needs_embeddings(tmp_path: Path) -> None:
    (verl,) = importlib.util.find_spec("verl").submodule_search_locations
    file = write(tmp_path / "train.parquet", sums(30))
    with initialize_config_dir(str(Path(verl) / "trainer" / "config"), version_base=None):
        config = compose(
            "ppo_trainer",
            [
                "+sparft=sparft",
                f"data.train_files={file}",
                "sparft.curriculum.name=pcl",
                "sparft.reduction.clusters=3",
            ],
        )
    preflight.adopt(config)
    preflight.check(config)
