"""The whole reduction: what is kept, and that order and chance have no say."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin import SparftError, __version__
from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction import ReductionConfig, reduce
from sparft_plugin.reduction.hygiene import Evaluation
from sparft_plugin.reduction.pipeline import pool_of
from sparft_plugin.reduction.selectors import Selector
from tests.budget import COSTLY
from tests.unit.reduction_data import HashEmbedder, registered, row, sums, vector

KEY = "extra_info.difficulty"
SMALL = {"clusters": 4, "per_cluster": 3, "difficulty_key": KEY, "pca_components": 4}


def table(rows, key=KEY):
    return PromptTable.from_rows(rows, source="rows", difficulty_key=key)


def reduced(rows, **options):
    config = ReductionConfig(**(SMALL | options))
    prompts = table(rows, config.difficulty_key)
    return reduce(prompts, config, embeddings=np.stack([vector(t) for t in prompts.texts]))


def what(reduction):
    """Everything about a reduction but the rows and the clock."""
    kept = (reduction.ids, reduction.arms.tolist(), reduction.difficulties.tobytes())
    return *kept, json.dumps(reduction.manifest)


def test_it_keeps_the_exact_count_of_every_arm_in_arm_order():
    got = reduced(sums(80))
    assert got.counts == (3, 3, 3, 3)
    assert sum(got.pool_counts) == 80
    assert list(got.pool_counts) == sorted(got.pool_counts, reverse=True)
    assert got.arms.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert len(set(got.ids)) == len(got) == 12


def test_ids_rows_and_difficulties_belong_together():
    rows = sums(80)
    prompts, got = table(rows), reduced(rows)
    for name, source_row, difficulty in zip(got.ids, got.rows, got.difficulties, strict=True):
        place = prompts.ids.index(name)
        assert prompts.rows[place] == source_row
        assert difficulty == rows[source_row]["extra_info"]["difficulty"] / 9


@COSTLY
@given(st.randoms(), st.sampled_from(["farthest_point", "random"]))
def test_the_order_of_the_rows_changes_nothing(random, selector):
    rows = sums(40)
    shuffled = random.sample(rows, len(rows))
    first, second = reduced(rows, selector=selector), reduced(shuffled, selector=selector)
    assert what(first) == what(second)
    for a, b in zip(first.rows, second.rows, strict=True):
        assert rows[a] == shuffled[b]


def test_clusters_follow_the_difficulty_when_it_weighs_everything():
    got = reduced(sums(80), clusters=2, difficulty_weight=1000.0)
    hard = got.difficulties[got.arms == 0], got.difficulties[got.arms == 1]
    assert max(hard[0]) < min(hard[1]) or max(hard[1]) < min(hard[0])


def test_a_difficulty_of_no_weight_travels_and_changes_nothing():
    rows = sums(40)
    vectors = np.stack([vector(r["prompt"][0]["content"]) for r in rows])
    options = {"clusters": 4, "per_cluster": 3}
    weightless = ReductionConfig(**options, difficulty_key=KEY, difficulty_weight=0.0)
    labelled = reduce(table(rows), weightless, embeddings=vectors)
    bare = reduce(table(rows, None), ReductionConfig(**options), embeddings=vectors)
    assert labelled.ids == bare.ids
    assert not np.isnan(labelled.difficulties).any()
    assert np.isnan(bare.difficulties).all()
    assert bare.facts.difficulty is bare.facts.difficulty_histogram is None
    assert bare.manifest["arms"][0]["mean_difficulty"] is None


def test_small_arms_give_all_and_the_shortfall_is_refilled():
    rows = [row(str(i)) for i in range(21)]
    close_and_one_far = np.array([[1.0, 0.01 * i] for i in range(20)] + [[-1.0, 0.0]])
    config = ReductionConfig(clusters=2, per_cluster=4)
    got = reduce(table(rows, None), config, embeddings=close_and_one_far)
    assert got.pool_counts == (20, 1)
    assert got.counts == (7, 1)
    assert got.facts.shortfall == 3


def test_a_small_pool_is_kept_whole_with_a_warning(caplog):
    got = reduced(sums(7), clusters=2, per_cluster=10)
    assert sorted(got.rows) == list(range(7))
    assert (
        "rows has 7 prompts, fewer than clusters x per_cluster = 20; all are kept." in caplog.text
    )


def test_one_prompt_is_one_arm():
    got = reduced([row(difficulty=0.5)], clusters=1)
    assert (got.rows.tolist(), got.arms.tolist(), got.counts) == ([0], [0], (1,))


def test_the_manifest_explains_the_reduction():
    rows = [*sums(80), sums(80)[3]]
    got = reduced(rows, seed=5)
    manifest = json.loads(json.dumps(got.manifest, allow_nan=False))
    assert manifest["options"] == {
        "encoder": "all-MiniLM-L6-v2",
        "embedder": "sentence_transformers",
        "embedder_options": {},
        "difficulty_key": KEY,
        "difficulty_weight": 1.0,
        "pca_components": 4,
        "clusters": 4,
        "per_cluster": 3,
        "budget": None,
        "tokenizer": None,
        "selector": "farthest_point",
        "selector_options": {},
        "near_duplicates": None,
        "pool": "auto",
        "seed": 5,
    }
    source = {"name": f"column:{KEY}", "known": 80, "count": 80, "lo": 0.0, "hi": 9.0}
    assert manifest["difficulty"] == {"quantiles": False, "sources": [source]}
    assert (manifest["pool"], manifest["kept"], manifest["duplicates"]) == (80, 12, 1)
    assert (manifest["source"], manifest["encoder"]) == ("rows", "given")
    assert (manifest["seed"], manifest["version"]) == (5, __version__)
    assert manifest["fingerprint"] == table(rows).fingerprint
    assert [arm["kept"] for arm in manifest["arms"]] == [3, 3, 3, 3]
    assert manifest["arms"][1]["mean_difficulty"] == got.difficulties[got.arms == 1].mean()
    assert sum(manifest["difficulty_histogram"]["pool"]) == 80
    assert sum(manifest["difficulty_histogram"]["kept"]) == 12
    assert manifest["coverage"]["radius"] == max(arm["radius"] for arm in manifest["arms"])
    assert all(arm["words"] == [] or len(arm["words"]) <= 5 for arm in manifest["arms"])
    assert "seconds" not in manifest
    assert set(got.seconds) == {"embed", "hygiene", "features", "cluster", "select", "explain"}


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("clusters", 0, "clusters must be an integer >= 1, not 0"),
        ("clusters", 2.5, "clusters must be an integer >= 1, not 2.5"),
        ("per_cluster", True, "per_cluster must be an integer >= 1, not True"),
        ("pca_components", "8", "pca_components must be an integer >= 1, not '8'"),
        ("seed", -1, "seed must be an integer >= 0, not -1"),
        ("seed", 2**32, r"seed must be below 2\*\*32"),
        ("difficulty_weight", -0.1, "difficulty_weight must be a finite number >= 0, not -0.1"),
        ("difficulty_weight", float("nan"), "difficulty_weight must be a finite number >= 0"),
        ("difficulty_key", "", "difficulty_key must be a non-empty string"),
        ("encoder", None, "encoder must be a non-empty string, not None"),
        ("pool", 0, "pool must be an integer >= 1, not 0"),
        ("pool", "some", "pool must be an integer >= 1, not 'some'"),
    ],
)
def test_a_bad_option_is_refused_by_name(option, value, problem):
    with pytest.raises(SparftError, match=problem):
        ReductionConfig(**{option: value})


def test_a_table_read_without_the_difficulty_is_refused():
    with pytest.raises(SparftError, match=f"read without difficulty_key='{KEY}'"):
        reduce(table(sums(20), None), ReductionConfig(**SMALL))


def test_embeddings_of_the_wrong_shape_or_not_finite_are_refused():
    prompts, config = table(sums(20)), ReductionConfig(**SMALL)
    for bad in (np.ones((19, 3)), np.ones(20), np.ones((20, 0))):
        with pytest.raises(SparftError, match="one row for each of the 20 rows of the data"):
            reduce(prompts, config, embeddings=bad)
    bad = np.ones((20, 3))
    bad[7, 1] = np.nan
    with pytest.raises(SparftError, match="the embeddings: the vector of row 7 is not finite"):
        reduce(prompts, config, embeddings=bad)


@dataclass
class First(Selector):
    """Always row 0: one choice too few or a repeat."""

    repeat: bool = False

    def select(self, members, k, rng):
        return np.zeros(k if self.repeat else 1, dtype=np.int64)


def test_a_strangers_selector_that_breaks_the_contract_is_named():
    with (
        registered(selectors={"first": First}),
        pytest.raises(SparftError, match="selector 'first' must choose 3 distinct rows"),
    ):
        reduced(sums(80), selector="first")


@pytest.fixture
def hash_embedder():
    HashEmbedder.calls.clear()
    with registered(embedders={"hash": HashEmbedder}):
        yield HashEmbedder


HASH = ReductionConfig(**SMALL, embedder="hash", encoder="v1")


def test_a_registered_embedder_encodes_and_its_identity_is_recorded(hash_embedder):
    got = reduce(table(sums(40)), HASH)
    assert got.manifest["encoder"] == "hash@v1"
    assert what(got)[:3] == what(reduced(sums(40)))[:3]


def test_an_edited_selector_chooses_anew_and_no_text_is_encoded_again():
    HashEmbedder.calls.clear()

    @dataclass
    class First(Selector):
        def select(self, members, k, rng):
            return np.arange(min(k, len(members)))

    @dataclass
    class Last(Selector):
        def select(self, members, k, rng):
            return np.arange(len(members))[::-1][:k]

    config = ReductionConfig(clusters=4, per_cluster=1, embedder="hash", selector="mine")
    chosen = []
    for edited in (First, Last):
        with registered(embedders={"hash": HashEmbedder}, selectors={"mine": edited}):
            chosen.append(reduce(table(sums(40), None), config).ids)
    assert not set(chosen[0]) & set(chosen[1])
    assert HashEmbedder.calls == [40]


POOLS = {
    "25 for each kept": ({"clusters": 20, "per_cluster": 10}, 5000),
    "2500 at least": ({"clusters": 2, "per_cluster": 10}, 2500),
    "share of all": ({"budget": "2%"}, 3000),
    "most clusters of auto": ({"clusters": "auto", "per_cluster": 2}, 3200),
    "a number": ({"pool": 70}, 70),
    "all": ({"pool": "all"}, 6000),
    "more than there are": ({"pool": 7000}, 6000),
}


@pytest.mark.parametrize("case", POOLS)
def test_the_pool_is_the_prompts_of_the_first_ids(case):
    options, size = POOLS[case]
    ids = [f"{i:04}" for i in np.random.default_rng(0).permutation(6000)]
    prompts, config = replace(table(sums(2)), ids=tuple(ids)), ReductionConfig(**options)
    order, tokens = pool_of(prompts, config, given=False)
    assert [ids[i] for i in order] == sorted(ids)[:size]
    assert tokens is None
    assert len(pool_of(prompts, config, given=True)[0]) == (70 if config.pool == 70 else 6000)


def test_only_the_pool_is_encoded_cleaned_and_kept_whatever_the_order(hash_embedder):
    config = replace(HASH, pool=30, near_duplicates=0.9999)
    rows = sums(60)
    prompts = table(rows)
    got = reduce(prompts, config)
    assert hash_embedder.calls == [30]
    assert (got.facts.prompts, got.facts.sample, got.facts.pool) == (60, 30, 30)
    assert set(got.ids) < set(sorted(prompts.ids)[:30])
    assert what(reduce(table(rows[::-1]), config)) == what(got)
    half = reduce(prompts, replace(HASH, pool=30, budget="50%", clusters=4))
    assert (len(half), half.facts.pool) == (30, 30)
    with pytest.raises(SparftError, match="pool=11 is fewer than the 12 prompts to keep; raise it"):
        reduce(prompts, replace(HASH, pool=11))


def test_what_hygiene_finds_is_numbered_as_the_table_is(hash_embedder):
    rows = sums(60)
    prompts = table(rows)
    text = prompts.texts[prompts.ids.index(sorted(prompts.ids)[3])]
    held = Evaluation("test", [text], np.array([0]))
    got = reduce(prompts, replace(HASH, pool=40), evaluations=[held])
    assert got.facts.contaminated == 1
    assert {prompts.texts[found.position] for found in got.hygiene.contaminated} == {text}
    assert got.facts.pool == 39
