"""Near-duplicates and look-alikes by cosine, against one comparison at a time."""

from __future__ import annotations

import tempfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from sparft_plugin.errors import SparftError
from sparft_plugin.reduction.hygiene import cells, duplicates, similarity
from sparft_plugin.reduction.hygiene.cosine import cosine
from sparft_plugin.reduction.hygiene.duplicates import near_duplicates
from sparft_plugin.reduction.hygiene.similarity import similar
from tests.unit.hygiene_data import in_parts, unit

BY_ID = np.arange(10_000)


def clouds(n: int, centres: int, spread: float, seed: int, width: int = 12) -> np.ndarray:
    """n points around some centres: cosines of every size from nearly 0 to nearly 1."""
    rng = np.random.default_rng(seed)
    middle = rng.normal(size=(centres, width))[rng.integers(centres, size=n)]
    return unit(*(middle + spread * rng.normal(size=(n, width)) * rng.random((n, 1))))


def greedy(array: np.ndarray, order: np.ndarray, threshold: float) -> list[tuple[int, int, float]]:
    kept: list[int] = []
    found = []
    for i in order.tolist():
        like = [(i, j, c) for j in kept if (c := cosine(array[i], array[j])) >= threshold]
        found += like[:1]
        kept += [] if like else [i]
    return found


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(duplicates, "_LEAF", 5)
    monkeypatch.setattr(duplicates, "_CHUNK", 3)
    monkeypatch.setattr(similarity, "_CHUNK", 3)


def test_the_cosine_of_equal_vectors_is_one_and_of_opposite_ones_minus_one():
    a = clouds(1, 1, 0.3, 0)[0]
    assert cosine(a, a) == 1.0
    assert cosine(a, -a) == -1.0
    assert cosine(*unit([1, 0], [1, 1])) == pytest.approx(0.5**0.5)


def test_the_smallest_id_of_equal_vectors_is_kept():
    array = unit([1, 0], [0, 1], [1, 0], [1, 0])
    found = near_duplicates(in_parts(array), np.array([2, 1, 3, 0]), 1.0)
    assert found == [(3, 2, 1.0), (0, 2, 1.0)]


def test_a_removed_prompt_removes_no_other():
    # 0 and 1 are alike, 1 and 2 are alike, 0 and 2 are not.
    array = unit([1, 0], [1, 0.3], [1, 0.6])
    found = near_duplicates(in_parts(array), BY_ID[:3], 0.95)
    assert [pair[:2] for pair in found] == [(1, 0)]


def test_prompts_that_are_not_in_the_order_are_left_alone():
    array = unit([1, 0], [1, 0], [1, 0])
    found = near_duplicates(in_parts(array), np.array([2, 0]), 0.9)
    assert [pair[:2] for pair in found] == [(0, 2)]
    assert near_duplicates(in_parts(array), np.array([], dtype=np.int64), 0.9) == []


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("threshold", [0.3, 0.8, 0.95, 0.999, 1.0])
def test_near_duplicates_are_those_of_the_plain_greedy_rule(threshold):
    array = clouds(150, 20, 0.5, seed=3)
    array[100:110] = array[:10]
    order = np.random.default_rng(1).permutation(150)
    assert near_duplicates(in_parts(array), order, threshold) == greedy(array, order, threshold)


@pytest.mark.usefixtures("small_blocks")
def test_a_cosine_at_the_threshold_counts_and_just_below_does_not():
    array = clouds(20, 1, 0.5, seed=5)
    at = cosine(array[0], array[19])
    pool = np.array([0, 19])
    assert near_duplicates(in_parts(array), pool, at) == [(19, 0, at)]
    assert near_duplicates(in_parts(array), pool, np.nextafter(at, 1)) == []
    assert similar(in_parts(array[19:]), array[:1], at) == [(0, 0, at)]
    assert similar(in_parts(array[19:]), array[:1], np.nextafter(at, 1)) == []


@given(st.randoms(use_true_random=False), st.sampled_from([0.5, 0.9, 0.99]))
def test_the_order_of_the_rows_permutes_nothing(random, threshold):
    array = clouds(60, 10, 0.4, seed=7)
    rows = list(range(60))
    random.shuffle(rows)
    # Row i of the shuffled pool is row rows[i] of the original one, which also is its rank.
    order = np.argsort(rows)
    there = near_duplicates(in_parts(array[rows], 11), order, threshold)
    assert [(rows[a], rows[b], c) for a, b, c in there] == near_duplicates(
        in_parts(array), BY_ID[:60], threshold
    )
    found = similar(in_parts(array[rows], 11), array[:9], threshold)
    assert sorted((rows[a], b, c) for a, b, c in found) == similar(
        in_parts(array), array[:9], threshold
    )


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("threshold", [0.3, 0.8, 0.95, 1.0])
def test_look_alikes_are_the_best_of_all_pairs(threshold):
    array = clouds(80, 10, 0.5, seed=9)
    evaluation = np.concatenate([clouds(40, 10, 0.5, seed=10), array[:5]])
    wanted = []
    for i, vector in enumerate(array):
        cosines = [cosine(vector, other) for other in evaluation]
        if max(cosines) >= threshold:
            wanted.append((i, int(np.argmax(cosines)), max(cosines)))
    assert wanted
    assert similar(in_parts(array), evaluation, threshold) == wanted


def test_the_first_of_equal_evaluation_prompts_is_named():
    array = unit([1, 0], [0, 1])
    assert similar(in_parts(array), array[[1, 0, 0]], 0.9) == [(0, 1, 1.0), (1, 0, 1.0)]


@pytest.fixture(scope="module")
def big_pool() -> np.ndarray:
    """3,000 prompts, every fifth the near-duplicate of another."""
    array = clouds(3000, 40, 1.0, seed=11, width=16)
    noise = np.random.default_rng(12).normal(size=(600, 16)) * 0.01
    array[::5] = unit(*(array[1::5] + noise))
    return array


@pytest.fixture
def small_cells(monkeypatch):
    monkeypatch.setattr(duplicates, "_LEAF", 64)
    monkeypatch.setattr(cells, "PER_CELL", 100)


@pytest.mark.usefixtures("small_cells")
def test_the_search_in_cells_invents_nothing_and_misses_little(big_pool):
    order = np.random.default_rng(13).permutation(3000)
    exact = near_duplicates(in_parts(big_pool, 500), order, 0.99)
    found = near_duplicates(in_parts(big_pool, 500), order, 0.99, exact=100)
    kept = set(order.tolist()) - {pair.removed for pair in found}
    assert len(exact) >= 600
    assert len(set(found) & set(exact)) >= 0.97 * len(exact)
    assert all(pair.kept in kept and pair.cosine >= 0.99 for pair in found)


@pytest.mark.usefixtures("small_cells")
def test_of_a_pool_of_near_duplicates_one_is_kept():
    array = clouds(1000, 1, 0.01, seed=15)
    found = near_duplicates(in_parts(array, 300), BY_ID[:1000][::-1], 0.9)
    assert [pair[:2] for pair in found] == [(i, 999) for i in range(998, -1, -1)]
    in_cells = near_duplicates(in_parts(array, 300), BY_ID[:1000][::-1], 0.9, exact=100)
    assert len(in_cells) > 950


@pytest.mark.usefixtures("small_cells")
def test_the_search_in_cells_depends_on_neither_rows_nor_threads(big_pool):
    rows = np.random.default_rng(14).permutation(3000)
    with threadpool_limits(limits=1):
        there = near_duplicates(in_parts(big_pool[rows], 700), np.argsort(rows), 0.9, exact=100)
    here = near_duplicates(in_parts(big_pool, 500), BY_ID[:3000], 0.9, exact=100)
    assert [(rows[a], rows[b], c) for a, b, c in there] == here


def test_a_full_disk_names_the_folder_and_the_room_needed(big_pool, monkeypatch):
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.pwrite", full)
    with pytest.raises(SparftError, match=f"do not fit into {tempfile.gettempdir()}.*TMPDIR"):
        near_duplicates(in_parts(big_pool, 500), BY_ID[:3000], 0.9, exact=100)


@pytest.mark.parametrize("threshold", [0.0, -0.5, 1.01, float("nan")])
def test_a_threshold_that_is_no_cosine_is_refused(threshold):
    array = unit([1, 0], [0, 1])
    with pytest.raises(SparftError, match="near_duplicate_threshold=.* above 0 and at most 1"):
        near_duplicates(in_parts(array), BY_ID[:2], threshold)
    with pytest.raises(SparftError, match="similarity_threshold=.* above 0 and at most 1"):
        similar(in_parts(array), array, threshold)
