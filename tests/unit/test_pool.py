"""The pool that a recipe's dataset gives to the curriculum."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from datasets import Dataset
from omegaconf import OmegaConf
from torchdata.stateful_dataloader import StatefulDataLoader

from sparft_plugin.config.schema import SparftConfig
from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl.dataset import CurriculumDataset, read_pool
from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction import ReductionConfig, reduce
from sparft_plugin.training.run import TrainingRun
from tests.unit.prompt_data import group
from tests.unit.recipes import passes, recipe
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

KEY = "extra_info.difficulty"
REDUCTION = {"embedder": "hash", "encoder": "tiny", "clusters": 3, "per_cluster": 4}
PCL = {"name": "pcl", "ridge": 0.1}


@pytest.fixture(autouse=True)
def _hash_embedder():
    HashEmbedder.calls.clear()
    with registered(embedders={"hash": HashEmbedder}):
        yield


def pool_of(rows, saved=None, **section):
    options = SparftConfig.from_mapping(section)
    dataset = SimpleNamespace(dataframe=Dataset.from_list(rows))
    config = OmegaConf.create({"prompt_key": "prompt"})
    return read_pool(dataset, config, options, saved), options


def expected(pool):
    """The vector of each prompt's text, by hand, in the order of the pool."""
    return np.stack([vector(pool.text_of(identity.decode())) for identity in pool.prompts.ids])


@pytest.mark.parametrize("wrappers", [{}, {"retest": 20, "share_floor": 0.1}])
def test_a_method_that_asks_for_them_gets_the_vectors_of_the_kept_prompts(wrappers):
    section = {"curriculum": {**PCL, **wrappers}, "reduction": REDUCTION}
    pool, options = pool_of(sums(30), **section)
    assert pool.prompts.embeddings is not None
    assert pool.prompts.embeddings.shape == (12, WIDTH)
    np.testing.assert_array_equal(pool.prompts.embeddings, expected(pool))
    # Texts that the reduction encoded are not encoded again, nor those of an earlier run.
    assert HashEmbedder.calls == [30]
    pool_of(sums(30), **section)
    assert HashEmbedder.calls == [30]
    run = TrainingRun(options, pool.prompts, pool.text_of)
    assert len({pick.prompt.id for pick in run.select(6)}) == 6


def reduced_rows(folder):
    """Rows as ``sparft reduce`` writes them."""
    file = write(folder / "train.parquet", sums(30))
    reduction = reduce(PromptTable.from_parquet(file), ReductionConfig(**REDUCTION))
    write_out([file], reduction, folder / "reduced.parquet")
    return pq.read_table(folder / "reduced.parquet").to_pylist()


def test_a_reduced_file_keeps_its_arms_and_gets_vectors_too(tmp_path):
    rows = reduced_rows(tmp_path)
    pool, _ = pool_of(rows, curriculum=PCL, reduction=REDUCTION)
    assert pool.prompts.n_arms == 3
    np.testing.assert_array_equal(pool.prompts.embeddings, expected(pool))
    rows[2]["prompt"][0]["content"] = "other"
    with pytest.raises(SparftError, match="row 2 of data.train_files was edited"):
        pool_of(rows, curriculum=PCL)


def test_without_a_reduction_the_default_encoder_reads_every_prompt(monkeypatch):
    monkeypatch.setattr("sparft_plugin.training.pool.ReductionConfig", _hashing)
    pool, _ = pool_of(sums(7), curriculum=PCL)
    assert pool.prompts.n_arms == 1
    np.testing.assert_array_equal(pool.prompts.embeddings, expected(pool))


def _hashing():
    return ReductionConfig(embedder="hash", encoder="tiny")


def test_other_methods_cost_no_encoding_and_rows_and_texts_belong_to_the_prompts():
    rows = sums(9)
    pool, options = pool_of(rows, curriculum={"name": "uniform"})
    assert pool.prompts.embeddings is None
    assert HashEmbedder.calls == []
    for identity in pool.prompts.ids:
        at = pool.row_of(identity.decode())
        assert pool.text_of(identity.decode()) == rows[at]["prompt"][0]["content"]
    # Without a reduction the state holds no pool; that of older checkpoints had no such key.
    state = TrainingRun(options, pool.prompts, pool.text_of, pool.saved).state_dict()
    assert state.pop("pool") is None
    TrainingRun(options, pool.prompts, pool.text_of).load_state_dict(state)


def test_two_prompts_of_one_text_have_one_vector():
    rows = [row("2 + 2?", "4"), {**row("2 + 2?", "4"), "data_source": "other"}, row("3 + 3?", "6")]
    pool, _ = pool_of(rows, curriculum=PCL, reduction={**REDUCTION, "clusters": 1})
    assert len(pool.prompts) == 3
    np.testing.assert_array_equal(pool.prompts.embeddings, expected(pool))


# What a resumed run trains on


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Another machine: an empty cache, and an encoder whose vectors are not the same."""

    def moved():
        monkeypatch.setenv("SPARFT_CACHE", str(tmp_path / "elsewhere"))
        monkeypatch.setattr("tests.unit.reduction_data.vector", lambda text: vector(text[::-1]))
        HashEmbedder.calls.clear()

    return moved


BANDIT = {"curriculum": {"name": "sparft"}, "reduction": {**REDUCTION, "difficulty_key": KEY}}


def same(one, other):
    pairs = [(getattr(p.prompts, n) for p in (one, other)) for n in ("ids", "arms", "difficulties")]
    return all(np.array_equal(*pair) for pair in pairs)


def test_it_trains_on_the_same_prompts_elsewhere_and_encodes_nothing(elsewhere):
    first, _ = pool_of(sums(30), **BANDIT)
    elsewhere()
    again, _ = pool_of(sums(30)[::-1], first.saved, **BANDIT)
    assert same(first, again)
    assert HashEmbedder.calls == []
    assert again.saved == first.saved
    for identity in map(bytes.decode, again.prompts.ids.tolist()):
        assert again.row_of(identity) == 29 - first.row_of(identity)
        assert again.text_of(identity) == first.text_of(identity)
    # A method that asks for vectors encodes what was kept.
    pool_of(sums(30), first.saved, **{**BANDIT, "curriculum": PCL})
    assert HashEmbedder.calls == [12]
    anew, _ = pool_of(sums(30), **BANDIT)
    assert not same(first, anew)


def test_what_was_learned_is_kept_and_the_state_is_the_same(elsewhere):
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
    elsewhere, tmp_path
):
    file = write(tmp_path / "train.parquet", sums(30))
    settings = {
        "data.train_files": str(file),
        "data.cache_dir": str(tmp_path),
        "data.filter_overlong_prompts": False,
        "trainer.default_local_dir": str(tmp_path),
    }
    reduction = {f"sparft.reduction.{name}": value for name, value in REDUCTION.items()}
    config = recipe("sparft", settings | reduction)

    def loader():
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

    def apply_chat_template(self, messages, **options):
        return {"input_ids": messages[0]["content"].split()}


def test_prompts_that_are_gone_are_told_and_the_others_stay(elsewhere, caplog):
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
    with pytest.raises(SparftError, match="holds none of the prompts of the checkpoint"):
        pool_of([row(f"{i}?", difficulty=float(i)) for i in range(30)], first.saved, **BANDIT)


def test_another_reduction_is_made_anew_but_an_option_that_came_later_keeps_the_prompts(caplog):
    first, _ = pool_of(sums(30), **BANDIT)
    more = {**BANDIT, "reduction": {**BANDIT["reduction"], "per_cluster": 5}}
    again, _ = pool_of(sums(30), first.saved, **more)
    assert len(again.prompts) == 15
    assert "sparft.reduction differs from the checkpoint" in caplog.text
    older = json.loads(first.saved)
    del older["options"]["pool"]
    older |= {key: older[key][:5] for key in ("ids", "arms", "difficulties")}
    again, _ = pool_of(sums(30), json.dumps(older), **BANDIT)
    assert len(again.prompts) == 5


def test_a_dataset_without_rows_is_refused():
    options = SparftConfig.from_mapping({"curriculum": PCL})
    with pytest.raises(SparftError, match="has no 'dataframe'"):
        read_pool(object(), OmegaConf.create({"prompt_key": "prompt"}), options)


def test_preflight_accepts_a_method_that_needs_embeddings(tmp_path):
    settings = {
        "data.train_files": str(write(tmp_path / "train.parquet", sums(30))),
        "sparft.curriculum.name": "pcl",
        "sparft.reduction.clusters": 3,
    }
    passes(recipe("sparft", settings))
