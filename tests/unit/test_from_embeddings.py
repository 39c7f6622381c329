"""Reductions of vectors and of prompts: whatever goes in, what comes out can be trusted."""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin import SparftError
from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction import ReductionConfig, from_embeddings, reduce
from sparft_plugin.reduction import vectors as vectors_module
from tests.budget import COSTLY
from tests.unit.reduction_data import sums, vector

ROOT = Path(__file__).parents[2]
SMALL = ReductionConfig(clusters=4, per_cluster=3, pca_components=4)
PLAIN = ("farthest_point", "medoid", "nearest_centroid", "random")
"""Selectors that need vectors only."""
GRADED = ("difficulty_spread", "d3")


def cloud(n=120, width=6, seed=0):
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


def what(got):
    """All of a reduction but the rows, the clock and the name of the file."""
    manifest = {key: value for key, value in got.manifest.items() if key != "source"}
    return got.ids, got.arms.tolist(), got.difficulties.tobytes(), json.dumps(manifest)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_an_array_and_a_file_of_it_give_the_same(tmp_path, kind):
    vectors = cloud().astype(kind)
    np.save(tmp_path / "v.npy", vectors)
    here, there = from_embeddings(vectors, SMALL), from_embeddings(tmp_path / "v.npy", SMALL)
    assert what(here) == what(there)
    assert here.rows.tolist() == there.rows.tolist()
    assert (here.manifest["source"], there.manifest["source"]) == ("embeddings", "v.npy")
    assert (here.facts.near_duplicates, here.facts.contaminated) == (None, None)


def test_a_copy_on_disk_gives_what_one_in_memory_gives(monkeypatch):
    here = from_embeddings(cloud(), SMALL)
    monkeypatch.setattr(vectors_module, "IN_MEMORY", 0)
    assert what(from_embeddings(cloud(), SMALL)) == what(here)


@COSTLY
@given(
    order=st.permutations(range(60)),
    selector=st.sampled_from(PLAIN + GRADED),
    named=st.booleans(),
    graded=st.booleans(),
)
def test_the_order_of_the_rows_changes_nothing(order, selector, named, graded):
    # Norms on both sides of the bound below which a vector counts as of norm 1.
    vectors = cloud(50)
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = (vectors * np.linspace(1 - 2e-5, 1 + 2e-5, 50)[:, None]).astype(np.float32)
    if named:
        vectors = np.concatenate([vectors, cloud(10, seed=1)])
        ids = [f"row {i:02d}" for i in range(60)]
    else:
        vectors, ids = np.concatenate([vectors, vectors[:10]]), None
    has = graded or selector in GRADED
    levels = np.round(np.random.default_rng(2).uniform(size=60), 3) if has else None
    config = ReductionConfig(clusters=4, per_cluster=3, selector=selector)

    def run(rows):
        return from_embeddings(
            vectors[rows],
            config,
            ids=None if ids is None else [ids[i] for i in rows],
            difficulties=None if levels is None else levels[rows],
        )

    first, second = run(np.arange(60)), run(np.array(order))
    assert what(first) == what(second)
    assert len(set(first.ids)) == len(first.ids) == 12
    for a, b in zip(first.rows, second.rows, strict=True):
        assert np.array_equal(vectors[a], vectors[order[b]])


def test_rows_are_named_by_their_numbers_or_by_the_caller():
    # Vectors of norm 1 keep their bits.
    vectors = cloud() / np.linalg.norm(cloud(), axis=1, keepdims=True)
    got = from_embeddings(vectors, SMALL)
    names = [hashlib.blake2b(v.tobytes(), digest_size=16).hexdigest() for v in vectors]
    assert got.ids == tuple(names[row] for row in got.rows)
    ids = [f"v{i}" for i in range(120)]
    named = from_embeddings(vectors, SMALL, ids=ids)
    assert named.ids == tuple(ids[row] for row in named.rows)


def test_equal_rows_count_once_with_the_mean_of_their_difficulties():
    vectors = np.concatenate([cloud(20), cloud(20)[:5]])
    levels = np.array([0.25] * 20 + [0.75] * 5)
    config = ReductionConfig(clusters=2, per_cluster=10, pca_components=4)
    got = from_embeddings(vectors, config, difficulties=levels)
    assert (got.facts.pool, got.facts.duplicates, len(got)) == (20, 5, 20)
    assert sorted(got.rows) == list(range(20))
    expected = [0.5 if row < 5 else 0.25 for row in got.rows]
    assert got.difficulties.tolist() == expected


BAD = {
    "repeated ids": ({"ids": ["a"] * 20}, "ids must be 20 distinct names.*1 of them distinct"),
    "few ids": ({"ids": ["a", "b"]}, "ids must be 20 distinct names.*there are 2"),
    "few levels": ({"difficulties": np.zeros(3)}, "difficulties must be 20 numbers in"),
    "high level": ({"difficulties": np.full(20, 1.5)}, "difficulties must be 20 numbers in"),
    "nan level": ({"difficulties": np.full(20, math.nan)}, "difficulties must be 20 numbers in"),
}


@pytest.mark.parametrize("case", BAD)
def test_ids_and_difficulties_that_do_not_fit_are_refused(case):
    options, problem = BAD[case]
    with pytest.raises(SparftError, match=problem):
        from_embeddings(cloud(20), SMALL, **options)


@pytest.mark.parametrize("selector", [*GRADED, "limr"])
def test_a_selector_that_needs_more_than_vectors_is_refused(selector):
    config = ReductionConfig(clusters=4, per_cluster=3, selector=selector)
    with pytest.raises(SparftError, match=f"the selector '{selector}' needs"):
        from_embeddings(cloud(), config)


def test_a_budget_of_tokens_is_refused_where_there_are_no_texts():
    with pytest.raises(SparftError, match="a budget of '500 tokens' counts the tokens of texts"):
        from_embeddings(cloud(), ReductionConfig(clusters=4, budget="500 tokens"))


def test_too_few_vectors_and_no_file_are_refused(tmp_path):
    with pytest.raises(SparftError, match="the embeddings has 3 prompts, fewer than clusters=4"):
        from_embeddings(np.repeat(cloud(3), 10, axis=0), SMALL)
    with pytest.raises(SparftError, match=r"none\.npy does not exist"):
        from_embeddings(tmp_path / "none.npy", SMALL)


def budgets():
    count = st.integers(1, 80)
    share = st.integers(1, 100).map(lambda percent: f"{percent}%")
    tokens = st.integers(5, 700).map(lambda number: f"{number} tokens")
    return st.one_of(st.none(), count, share, tokens)


@COSTLY
@given(
    rows=st.integers(4, 50),
    clusters=st.integers(1, 4),
    budget=budgets(),
    selector=st.sampled_from(PLAIN),
    seed=st.integers(0, 3),
    shuffled=st.randoms(use_true_random=False),
)
def test_a_budget_is_met_or_what_is_missing_is_told(
    rows, clusters, budget, selector, seed, shuffled
):
    data = sums(rows)
    mixed = shuffled.sample(data, rows)
    config = ReductionConfig(
        clusters=clusters, per_cluster=5, budget=budget, selector=selector, seed=seed
    )

    def run(table):
        prompts = PromptTable.from_rows(table, source="rows")
        vectors = np.stack([vector(text) for text in prompts.texts])
        return prompts, reduce(prompts, config, embeddings=vectors)

    prompts, got = run(data)
    assert what(got) == what(run(mixed)[1])
    assert set(got.ids) <= set(prompts.ids)
    assert len(set(got.ids)) == len(got)
    assert sum(got.pool_counts) == rows
    assert list(got.counts) == np.bincount(got.arms, minlength=clusters).tolist()
    if isinstance(budget, str) and budget.endswith("tokens"):
        limit = int(budget.split()[0])
        assert 0 < got.manifest["tokens"] <= limit
        assert len(got) == rows or got.manifest["tokens"] > limit - 10
        return
    wanted = clusters * 5 if budget is None else budget
    if isinstance(budget, str):
        wanted = max(1, round(int(budget[:-1]) / 100 * rows))
    assert len(got) == min(wanted, rows)
    assert got.facts.shortfall >= wanted - len(got)
    fair = [min(size, wanted // clusters) for size in got.pool_counts]
    assert all(count >= least for count, least in zip(got.counts, fair, strict=True))


def test_a_budget_below_the_arms_leaves_some_without_and_the_distance_is_infinite():
    got = from_embeddings(cloud(), ReductionConfig(clusters=6, budget=2))
    assert sum(got.counts) == 2
    assert 0 in got.counts
    assert (got.coverage_radius, got.mean_distance) == (math.inf, math.inf)
    assert got.manifest["coverage"] == {"radius": None, "mean_distance": None}


PEAK = """
import sys
from sparft_plugin.reduction import ReductionConfig, from_embeddings, vectors
vectors.BLOCK, vectors.IN_MEMORY = 2048, 2**20
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) // 1024
from_embeddings(sys.argv[1], ReductionConfig(clusters=4))
before = peak()
from_embeddings(sys.argv[2], ReductionConfig(clusters=4, pca_components=8))
sys.stdout.write(str(peak() - before))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to measure memory")
def test_a_file_is_never_in_memory_as_a_whole(tmp_path):
    width, step = 512, 10_000
    np.save(tmp_path / "small.npy", cloud(200, width))
    large = np.lib.format.open_memmap(tmp_path / "large.npy", "w+", np.float64, (5 * step, width))
    block = np.random.default_rng(0).normal(size=(step, width))
    for number in range(5):
        large[number * step : (number + 1) * step] = np.roll(block, number, axis=1)
    large.flush()
    paths = [str(tmp_path / name) for name in ("small.npy", "large.npy")]
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *paths], capture_output=True, text=True, check=True, cwd=ROOT
    )
    # The file has 195 MiB and its sorted copy 98; a block takes 8 in float64, features twice 3.
    assert int(done.stdout) < 80
