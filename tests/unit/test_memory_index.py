"""Nearest queries: single precision finds candidates, double precision decides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from sparft_plugin.memory.index import QueryIndex
from sparft_plugin.memory.vectors import best_cosines, rough_cosines, rough_error, unit_rows


def index_of(vectors, ages=None):
    index = QueryIndex()
    for row, vector in enumerate(vectors):
        index.put(row, vector, row if ages is None else ages[row])
    return index


def by_double_precision(vectors, query, k, ages=None):
    """All cosines, one by one, rounded to 9 decimals; the nearest first, then the oldest."""
    ages = range(len(vectors)) if ages is None else ages
    keys = []
    for row, vector in enumerate(vectors.astype(np.float64)):
        left, length = query.astype(np.float64), np.sqrt((vector**2).sum())
        scale = length * np.sqrt((left**2).sum())
        cosine = float((vector * left).sum() / scale) if scale else 0.0
        keys.append((-round(cosine, 9), ages[row], row))
    return [row for _, _, row in sorted(keys)[:k]]


@given(
    seed=st.integers(0, 2**32 - 1),
    stored=st.integers(1, 60),
    distinct=st.integers(1, 6),
    closeness=st.sampled_from([0.0, 1e-8, 1e-6, 1e-4, 1.0]),
    k=st.integers(1, 60),
)
def test_the_rows_are_those_of_double_precision(seed, stored, distinct, closeness, k):
    rng = np.random.default_rng(seed)
    kinds = rng.normal(size=(distinct, 24))
    vectors = kinds[rng.integers(distinct, size=stored)]
    vectors = (vectors + closeness * rng.normal(size=vectors.shape)).astype(np.float32)
    ages = rng.permutation(stored)
    queries = np.concatenate([vectors[:3], rng.normal(size=(2, 24)).astype(np.float32)])
    index, k = index_of(vectors, ages), min(k, stored)
    for query, found in zip(queries, index.nearest_each(queries, k, stored), strict=True):
        assert found.tolist() == by_double_precision(vectors, query, k, ages)


def test_equal_queries_tie_to_the_oldest_among_thousands():
    vector = np.random.default_rng(0).normal(size=384).astype(np.float32)
    vectors = np.tile(vector, (3000, 1)) * np.arange(1, 3001, dtype=np.float32)[:, None]
    (found,) = index_of(vectors).nearest_each(vector[None], 5, 3000)
    assert found.tolist() == [0, 1, 2, 3, 4]


def test_neither_the_other_queries_nor_the_threads_decide():
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(500, 64)).astype(np.float32)
    vectors[250:] = vectors[:250] * np.float32(3)
    queries = (vectors[rng.integers(500, size=40)] + 1e-5).astype(np.float32)
    index = index_of(vectors)
    together = [rows.tolist() for rows in index.nearest_each(queries, 4, 500)]
    for threads in (1, 2):
        with threadpool_limits(threads):
            alone = [index.nearest_each(query[None], 4, 500)[0].tolist() for query in queries]
        assert alone == together


@pytest.mark.parametrize("dimension", [1, 3, 384, 2048])
def test_the_error_of_single_precision_stays_below_its_bound(dimension):
    rng = np.random.default_rng(dimension)
    for spread in (0.0, 1.0):
        vectors = (1 + spread * rng.normal(size=(300, dimension))).astype(np.float32)
        units = unit_rows(vectors)
        rough = rough_cosines(units.astype(np.float32), units.astype(np.float32))
        assert np.abs(rough - units @ units.T).max() < rough_error(dimension)


def test_the_length_of_a_query_does_not_matter_up_to_the_limits_of_single_precision():
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(20, 16)).astype(np.float32)
    plain = index_of(vectors).nearest_each(vectors, 3, 20)
    scales = np.float32(10.0) ** rng.integers(-30, 30, size=20).astype(np.float32)
    scaled = vectors * scales[:, None]
    for one, two in zip(plain, index_of(scaled).nearest_each(scaled, 3, 20), strict=True):
        assert one.tolist() == two.tolist()


def test_a_zero_query_is_equally_far_from_all():
    vectors = np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
    (found,) = index_of(vectors).nearest_each(np.zeros((1, 2), np.float32), 2, 3)
    assert found.tolist() == [0, 1]


def likest(vector, others):
    """Largest cosine, one pair after the other in double precision."""
    found = []
    for other in others.astype(np.float64):
        left = vector.astype(np.float64)
        scale = np.sqrt((left**2).sum() * (other**2).sum())
        found.append((left * other).sum() / scale if scale else 0.0)
    return max(found)


@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 40),
    zeros=st.integers(0, 3),
    exponents=st.sampled_from([(0, 0), (-3, 3), (-30, 30), (25, 25), (-25, -25)]),
    dtype=st.sampled_from([np.float32, np.float16]),
)
@example(seed=3, count=3, zeros=0, exponents=(-30, 30), dtype=np.float32)
def test_the_best_cosine_is_that_of_double_precision(seed, count, zeros, exponents, dtype):
    rng = np.random.default_rng(seed)
    others = rng.normal(size=(count, 24))
    others[rng.integers(count, size=count // 2)] = others[0]
    if dtype is np.float32:
        others *= 10.0 ** rng.integers(exponents[0], exponents[1] + 1, size=(count, 1))
    others[rng.integers(count, size=zeros)] = 0
    others = others.astype(dtype)
    vectors = np.concatenate([others[:2], rng.normal(size=(3, 24)), np.zeros((1, 24))])
    vectors = vectors.astype(np.float32)
    expected = [likest(vector, others) for vector in vectors]
    np.testing.assert_allclose(best_cosines(vectors, others), expected, atol=1e-12)


def test_the_best_cosine_does_not_depend_on_the_other_vectors_or_the_threads():
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(16, 384)).astype(np.float32)
    others = (vectors[rng.integers(16, size=300)] + 1e-4).astype(np.float32)
    together = best_cosines(vectors, others).tolist()
    for threads in (1, 2):
        with threadpool_limits(threads):
            assert [best_cosines(row[None], others).item() for row in vectors] == together
