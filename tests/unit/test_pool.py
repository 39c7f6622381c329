"""The pool that a recipe's dataset gives to the curriculum."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from datasets import Dataset
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torchdata.stateful_dataloader import StatefulDataLoader

from sparft_plugin.config.schema import SparftConfig
from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl import preflight
from sparft_plugin.hosts.verl.dataset import CurriculumDataset, read_pool
from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction import ReductionConfig, reduce
from sparft_plugin.training.pool import Pool
from sparft_plugin.training.run import TrainingRun
from tests.unit.prompt_data import group
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
from tests.unit.test_preflight import VERL_CONFIG

KEY = "extra_info.difficulty"
REDUCTION = {"embedder": "hash", "encoder": "tiny", "clusters": 3, "per_cluster": 4}
PCL = {"name": "pcl", "ridge": 0.1}


@pytest.fixture(autouse=True)
def _hash_embedder() -> Iterator[None]:
    HashEmbedder.calls.clear()
    with registered(embedders={"hash": HashEmbedder}):
        yield


def pool_of(
    rows: list[dict[str, Any]], saved: str | None = None, **section: Any
) -> tuple[Pool, SparftConfig]:
    options = SparftConfig.from_mapping(section)
    dataset = SimpleNamespace(dataframe=Dataset.from_list(rows))
    config = OmegaConf.create({"prompt_key": "prompt"})
    return read_pool(dataset, config, options, saved), options


def expected(pool: Pool) -> np.ndarray:
    """The vector of each prompt's text, by hand, in the order of the pool."""
    return np.stack([vector(pool.text_of(identity.decode())) for identity in pool.prompts.ids])


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
    monkeypatch.setattr("sparft_plugin.training.pool.ReductionConfig", _hashing)
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
    run = TrainingRun(options, pool.prompts, pool.text_of)
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
        at = pool.row_of(identity.decode())
        assert pool.text_of(identity.decode()) == rows[at]["prompt"][0]["content"]


def test_an_edited_row_of_a_reduced_file_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "train.parquet", sums(30))
    reduction = reduce(PromptTable.from_parquet(file), ReductionConfig(**REDUCTION))
    write_out([file], reduction, tmp_path / "reduced.parquet")
    rows = pq.read_table(tmp_path / "reduced.parquet").to_pylist()
    rows[2]["prompt"][0]["content"] = "other"
    with pytest.raises(SparftError, match="row 2 of data.train_files was edited"):
        pool_of(rows, curriculum=PCL)


# What a resumed run trains on


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Another machine: an empty cache, and an encoder whose vectors are not the same."""

    def moved() -> None:
        monkeypatch.setenv("SPARFT_CACHE", str(tmp_path / "elsewhere"))
        monkeypatch.setattr("tests.unit.reduction_data.vector", lambda text: vector(text[::-1]))
        HashEmbedder.calls.clear()

    return moved


BANDIT = {"curriculum": {"name": "sparft"}, "reduction": {**REDUCTION, "difficulty_key": KEY}}


def same(one: Pool, other: Pool) -> bool:
    pairs = [(getattr(p.prompts, n) for p in (one, other)) for n in ("ids", "arms", "difficulties")]
    return all(np.array_equal(*pair) for pair in pairs)


def test_it_trains_on_the_same_prompts_elsewhere_and_encodes_nothing(elsewhere: Any) -> None:
    first, _ = pool_of(sums(30), **BANDIT)
    elsewhere()
    again, _ = pool_of(sums(30)[::-1], first.saved, **BANDIT)
    assert same(first, again)
    assert HashEmbedder.calls == []
    assert again.saved == first.saved
    for identity in map(bytes.decode, again.prompts.ids.tolist()):
        assert again.row_of(identity) == 29 - first.row_of(identity)
        assert again.text_of(identity) == first.text_of(identity)
    anew, _ = pool_of(sums(30), **BANDIT)
    assert not same(first, anew)


def test_a_method_that_asks_for_vectors_encodes_only_what_was_kept(elsewhere: Any) -> None:
    section = {"curriculum": PCL, "reduction": REDUCTION}
    first, _ = pool_of(sums(30), **section)
    elsewhere()
    again, _ = pool_of(sums(30), first.saved, **section)
    assert HashEmbedder.calls == [12]
    assert again.prompts.embeddings.shape == (12, WIDTH)


def test_what_was_learned_is_kept_and_the_state_is_the_same(elsewhere: Any) -> None:
    first, options = pool_of(sums(30), **BANDIT)
    run = TrainingRun(options, first.prompts, first.text_of, first.saved)
    picks = run.select(6)
    run.curriculum.observe([group(pick, 1, 4) for pick in picks])
    state = run.state_dict()
    elsewhere()
    again, _ = pool_of(sums(30), state["pool"], **BANDIT)
    resumed = TrainingRun(options, again.prompts, again.text_of, again.saved)
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state


def test_the_training_dataset_finds_them_in_the_checkpoint_that_verl_resumes_from(
    elsewhere: Any, tmp_path: Path
) -> None:
    file = write(tmp_path / "train.parquet", sums(30))
    settings = [f"sparft.reduction.{name}={value}" for name, value in REDUCTION.items()]
    with initialize_config_dir(VERL_CONFIG, version_base=None):
        config = compose(
            "ppo_trainer",
            [
                "+sparft=sparft",
                *settings,
                f"data.train_files={file}",
                f"+data.cache_dir={tmp_path}",
                "data.filter_overlong_prompts=False",
                f"trainer.default_local_dir={tmp_path}",
            ],
        )

    def loader() -> StatefulDataLoader:
        made = CurriculumDataset(str(file), Words(), config.data)
        return StatefulDataLoader(made, batch_size=4, drop_last=True, collate_fn=list)

    first = loader()
    batches = iter(first)
    next(batches)
    (tmp_path / "global_step_1").mkdir()
    torch.save(first.state_dict(), tmp_path / "global_step_1" / "data.pt")
    (tmp_path / "latest_checkpointed_iteration.txt").write_text("1")
    elsewhere()
    resumed = loader()
    resumed.load_state_dict(torch.load(tmp_path / "global_step_1" / "data.pt", weights_only=False))
    assert next(iter(resumed)) == next(batches)
    assert HashEmbedder.calls == []


class Words:
    """A tokenizer whose tokens are words."""

    def apply_chat_template(self, messages: Any, **options: Any) -> dict[str, list[str]]:
        return {"input_ids": messages[0]["content"].split()}


def test_prompts_that_are_gone_are_told_and_the_others_stay(
    elsewhere: Any, caplog: pytest.LogCaptureFixture
) -> None:
    first, options = pool_of(sums(30), **BANDIT)
    state = TrainingRun(options, first.prompts, first.text_of, first.saved).state_dict()
    gone = first.row_of(first.prompts.ids[3].decode())
    rows = [each for place, each in enumerate(sums(31)) if place != gone]
    again, _ = pool_of(rows, first.saved, **BANDIT)
    assert again.prompts.ids.tolist() == [*first.prompts.ids[:3], *first.prompts.ids[4:]]
    assert "data.train_files changed since the checkpoint" in caplog.text
    assert "those of its 12 reduced prompts that are left" in caplog.text
    TrainingRun(options, again.prompts, again.text_of, again.saved).load_state_dict(state)
    assert "11 kept, 0 new, 1 gone" in caplog.text


def test_data_without_any_of_the_prompts_is_refused() -> None:
    first, _ = pool_of(sums(30), **BANDIT)
    others = [row(f"{i}?", difficulty=float(i)) for i in range(30)]
    with pytest.raises(SparftError, match="holds none of the prompts of the checkpoint"):
        pool_of(others, first.saved, **BANDIT)


def test_another_reduction_is_made_anew_and_told(caplog: pytest.LogCaptureFixture) -> None:
    first, _ = pool_of(sums(30), **BANDIT)
    more = {**BANDIT, "reduction": {**BANDIT["reduction"], "per_cluster": 5}}
    again, _ = pool_of(sums(30), first.saved, **more)
    assert len(again.prompts) == 15
    assert "sparft.reduction differs from the checkpoint" in caplog.text


def test_without_a_reduction_the_state_holds_no_pool() -> None:
    pool, options = pool_of(sums(9), curriculum={"name": "uniform"})
    state = TrainingRun(options, pool.prompts, pool.text_of, pool.saved).state_dict()
    assert state["pool"] is None
    older = {key: value for key, value in state.items() if key != "pool"}
    TrainingRun(options, pool.prompts, pool.text_of).load_state_dict(older)


def test_a_dataset_without_rows_is_refused() -> None:
    options = SparftConfig.from_mapping({"curriculum": PCL})
    with pytest.raises(SparftError, match="has no 'dataframe'"):
        read_pool(object(), OmegaConf.create({"prompt_key": "prompt"}), options)


def test_preflight_accepts_a_method_that_needs_embeddings(tmp_path: Path) -> None:
    file = write(tmp_path / "train.parquet", sums(30))
    with initialize_config_dir(VERL_CONFIG, version_base=None):
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
