"""Near-duplicates and look-alikes by cosine, against one comparison at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.errors import SparftError
from sparft_plugin.reduction.hygiene import near
from sparft_plugin.reduction.hygiene.near import near_duplicates, similar


def unit(*rows: list[float]) -> np.ndarray:
    array = np.array(rows, dtype=np.float64)
    return (array / np.linalg.norm(array, axis=1, keepdims=True)).astype(np.float32)


def clouds(n: int, centres: int, spread: float, seed: int, width: int = 12) -> np.ndarray:
    """n points around some centres: cosines of every size from nearly 0 to nearly 1."""
    rng = np.random.default_rng(seed)
    middle = rng.normal(size=(centres, width))[rng.integers(centres, size=n)]
    return unit(*(middle + spread * rng.normal(size=(n, width)) * rng.random((n, 1))))


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a.astype(np.float64) @ b.astype(np.float64))


def greedy(array: np.ndarray, rows: list[int], threshold: float) -> list[tuple[int, int]]:
    kept: list[int] = []
    found = []
    for i in rows:
        like = [j for j in kept if cosine(array[i], array[j]) >= threshold - near.ROUNDING]
        found += [(i, like[0])] if like else []
        kept += [] if like else [i]
    return found


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(near, "BLOCK", 7)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("threshold", [0.3, 0.8, 0.95, 0.999, 1.0])
def test_near_duplicates_are_those_of_the_plain_greedy_rule(threshold):
    array = clouds(150, 20, 0.5, seed=3)
    array[100:110] = array[:10]
    among = np.random.default_rng(1).random(150) < 0.9
    for rows, mask in ((range(150), None), (np.flatnonzero(among).tolist(), among)):
        found = near_duplicates(array, threshold, mask)
        assert [pair[:2] for pair in found] == greedy(array, list(rows), threshold)
        cosines = [cosine(array[a], array[b]) for a, b, _ in found]
        assert [pair.cosine for pair in found] == pytest.approx(cosines, abs=1e-6)
        assert found


def test_vectors_whose_norm_is_only_nearly_one_equal_themselves():
    array = clouds(4, 4, 0.5, seed=5)[[0, 1, 2, 3, 1]] * np.float32(1 - 1e-5)
    assert near_duplicates(array, 1.0) == [(4, 1, pytest.approx(1.0, abs=3e-5))]
    assert len(similar(array, array, 1.0)) == 5


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("threshold", [0.3, 0.8, 0.95, 1.0])
def test_look_alikes_are_the_best_of_all_pairs(threshold):
    array = clouds(80, 10, 0.5, seed=9)
    evaluation = np.concatenate([clouds(40, 10, 0.5, seed=10), array[:5]])
    wanted = []
    for i, vector in enumerate(array):
        cosines = [cosine(vector, other) for other in evaluation]
        if max(cosines) >= threshold - near.ROUNDING:
            wanted.append((i, int(np.argmax(cosines)), pytest.approx(max(cosines), abs=1e-6)))
    assert wanted
    assert similar(array, evaluation, threshold) == wanted


def test_the_first_of_equal_evaluation_prompts_is_named():
    array = unit([1, 0], [0, 1])
    assert similar(array, array[[1, 0, 0]], 0.9) == [(0, 1, 1.0), (1, 0, 1.0)]


@given(st.integers(1, 8), st.sampled_from([0.5, 0.9, 0.99]))
def test_the_number_of_cores_and_where_the_vectors_lie_change_no_bit(cores, threshold):
    array = clouds(60, 10, 0.4, seed=7)
    expected = near_duplicates(array, threshold), similar(array, array[:9], threshold)
    mapped = np.frombuffer(array.tobytes(), np.float32).reshape(array.shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near.os, "cpu_count", lambda: cores)
        assert (near_duplicates(mapped, threshold), similar(mapped, array[:9], threshold)) == (
            expected
        )


@pytest.mark.parametrize("threshold", [0.0, -0.5, 1.01, float("nan")])
def test_a_threshold_that_is_no_cosine_is_refused(threshold):
    array = unit([1, 0], [0, 1])
    with pytest.raises(SparftError, match="near_duplicate_threshold=.* above 0 and at most 1"):
        near_duplicates(array, threshold)
    with pytest.raises(SparftError, match="similarity_threshold=.* above 0 and at most 1"):
        similar(array, array, threshold)
