"""The episodic store: nearest queries, embeddings in blocks, and what it was saved as."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from sparft_plugin.errors import SparftError
from sparft_plugin.memory import archive
from sparft_plugin.memory.store import EpisodicStore, QueryIndex, RowTable
from sparft_plugin.memory.term import novelty

FLOAT = np.dtype(np.float32)


def index_of(vectors, ages=None):
    index = QueryIndex(len(vectors[0]))
    for row, vector in enumerate(vectors):
        index.put(row, vector, row if ages is None else ages[row])
    return index


def cosine(left, right):
    """Of one pair, in double precision."""
    left, right = left.astype(np.float64), right.astype(np.float64)
    scale = np.sqrt((left**2).sum() * (right**2).sum())
    return float((left * right).sum() / scale) if scale else 0.0


@given(
    seed=st.integers(0, 2**32 - 1),
    stored=st.integers(1, 60),
    distinct=st.integers(1, 6),
    closeness=st.sampled_from([0.0, 1e-8, 1e-6, 1e-4, 1.0]),
    k=st.integers(1, 60),
)
def test_the_nearest_are_those_of_all_pairs_and_ties_go_to_the_oldest(
    seed, stored, distinct, closeness, k
):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(distinct, 24))[rng.integers(distinct, size=stored)]
    vectors = (vectors + closeness * rng.normal(size=vectors.shape)).astype(np.float32)
    ages = rng.permutation(stored)
    queries = np.concatenate([vectors[:3], rng.normal(size=(2, 24)).astype(np.float32)])
    index, k = index_of(vectors, ages), min(k, stored)
    for query, found in zip(queries, index.nearest(queries, k, stored), strict=True):
        keys = [(-round(cosine(v, query), 9), ages[row], row) for row, v in enumerate(vectors)]
        assert found.tolist() == [row for _, _, row in sorted(keys)[:k]]


def test_neither_the_other_queries_nor_the_threads_decide():
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(500, 64)).astype(np.float32)
    vectors[250:] = vectors[:250] * np.float32(3)
    queries = (vectors[rng.integers(500, size=40)] + 1e-5).astype(np.float32)
    index = index_of(vectors)
    together = [rows.tolist() for rows in index.nearest(queries, 4, 500)]
    novel = novelty(queries, vectors).tolist()
    for threads in (1, 2):
        with threadpool_limits(threads):
            alone = [index.nearest(query[None], 4, 500)[0].tolist() for query in queries]
            assert novelty(queries, vectors).tolist() == novel
        assert alone == together


def test_the_length_of_a_query_does_not_matter_up_to_the_limits_of_single_precision():
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(20, 16)).astype(np.float32)
    plain = index_of(vectors).nearest(vectors, 3, 20)
    scales = np.float32(10.0) ** rng.integers(-30, 30, size=20).astype(np.float32)
    scaled = vectors * scales[:, None]
    for one, two in zip(plain, index_of(scaled).nearest(scaled, 3, 20), strict=True):
        assert one.tolist() == two.tolist()
    (of_zero,) = index_of(vectors).nearest(np.zeros((1, 16), np.float32), 2, 20)
    assert of_zero.tolist() == [0, 1]
    parallel = np.tile(vectors[:1], (3000, 1)) * np.arange(1, 3001, dtype=np.float32)[:, None]
    assert index_of(parallel).nearest(vectors[:1], 5, 3000)[0].tolist() == [0, 1, 2, 3, 4]


@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 40),
    zeros=st.integers(0, 3),
    exponents=st.sampled_from([(0, 0), (-3, 3), (-30, 30), (25, 25), (-25, -25)]),
    dtype=st.sampled_from([np.float32, np.float16]),
)
@example(seed=3, count=3, zeros=0, exponents=(-30, 30), dtype=np.float32)
def test_novelty_is_one_less_the_largest_cosine(seed, count, zeros, exponents, dtype):
    rng = np.random.default_rng(seed)
    others = rng.normal(size=(count, 24))
    others[rng.integers(count, size=count // 2)] = others[0]
    if dtype is np.float32:
        others *= 10.0 ** rng.integers(exponents[0], exponents[1] + 1, size=(count, 1))
    others[rng.integers(count, size=zeros)] = 0
    others = others.astype(dtype)
    vectors = np.concatenate([others[:2], rng.normal(size=(3, 24)), np.zeros((1, 24))])
    vectors = vectors.astype(np.float32)
    expected = [1 - max(cosine(vector, other) for other in others) for vector in vectors]
    np.testing.assert_allclose(novelty(vectors, others), expected, atol=1e-12)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(archive, "BLOCK_BYTES", 4 * 2 * 4)  # four rows of two numbers


def numbered(start, count):
    return np.repeat(np.arange(start, start + count, dtype=np.float32)[:, None], 2, axis=1)


@pytest.mark.usefixtures("small_blocks")
@given(moves=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=20))
def test_a_table_holds_what_was_written_whatever_was_given_back(moves):
    rows, held, written = RowTable(2, FLOAT), {}, 0
    for taken, given_back in moves:
        numbers = rows.write(numbered(written, taken))
        held |= dict(zip(numbers.tolist(), range(written, written + taken), strict=True))
        written += taken
        leaving = list(held)[:given_back]
        rows.give_back(np.array(leaving, np.int64))
        for number in leaving:
            del held[number]
    if held:
        assert rows.read(np.array(list(held)))[:, 0].tolist() == list(held.values())
    assert {*held, *rows.free} == set(range(sum(map(len, rows.parts()))))


@pytest.mark.usefixtures("small_blocks")
def test_a_fork_takes_nothing_that_its_origin_holds_and_what_was_read_stays():
    rows = RowTable(2, FLOAT)
    numbers = rows.write(numbered(0, 6))
    read, fork = rows.read(numbers), rows.fork()
    fork.give_back(numbers)
    fresh = fork.write(numbered(10, 6))
    assert rows.read(numbers)[:, 0].tolist() == fork.read(numbers)[:, 0].tolist() == [*range(6)]
    assert fork.read(fresh)[:, 0].tolist() == [*range(10, 16)]
    rows.give_back(numbers[[3, 1]])
    assert rows.write(numbered(20, 3)).tolist() == [3, 1, 6]
    assert read[:, 0].tolist() == [*range(6)]


@pytest.mark.usefixtures("small_blocks")
def test_a_table_is_saved_by_its_blocks_and_a_copy_of_them_restores_it():
    rows = RowTable(2, FLOAT)
    rows.write(numbered(0, 6))
    parts = rows.parts()
    assert [len(part) for part in parts] == [4, 2]
    assert all(np.shares_memory(*pair) for pair in zip(parts, rows._blocks, strict=True))
    copy = RowTable(2, FLOAT)
    copy.restore(parts, np.array([4]))
    assert not np.shares_memory(copy.parts()[0], parts[0])
    assert copy.write(numbered(9, 2)).tolist() == [4, 6]
    assert copy.read(np.array([0, 4]))[:, 0].tolist() == [0, 9]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("shapes", [[(3, 2), (1, 2)], [(5, 2)], [(4, 3)], [(4, 2)]])
def test_parts_that_are_no_blocks_are_refused(shapes):
    dtype = np.float64 if shapes == [(4, 2)] else np.float32
    with pytest.raises(SparftError, match="must be finite float32 of shape"):
        RowTable(2, FLOAT).restore([np.zeros(shape, dtype) for shape in shapes], np.empty(0, int))


def write(store, name, query, *values):
    rows = np.array([[value, 0.0] for value in values], np.float32).reshape(-1, 2)
    store.write(name, np.array(query, np.float32), rows)


def near(store, k=1):
    """Responses of the queries nearest to (1, 0)."""
    return store.read(*store.nearest(np.array([[1, 0]], np.float32), k))


def test_the_query_inserted_first_leaves_though_it_was_written_last():
    store = EpisodicStore(2, 3)
    write(store, "a", (1, 0))
    assert len(store) == 0
    for name, vector, value in (("a", (1, 0), 1), ("b", (0, 1), 2), ("a", (1, 0), 3)):
        write(store, name, vector, value)
    write(store, "c", (1, 1), 4, 5, 6, 7)
    assert store.prompt_ids == ["b", "c"]
    assert near(store, k=2)[:, 0].tolist() == [5, 6, 7, 2]


def test_bytes_are_those_of_the_content_and_no_more_after_evictions():
    store, full = EpisodicStore(None, 100), EpisodicStore(2, 3)
    write(store, "a", (1, 0), *range(70))
    copy = EpisodicStore(None, 100)
    copy.restore(store.arrays(), 2)
    assert store.nbytes == copy.nbytes
    assert 0 < store.nbytes - 70 * 2 * 4 < 100
    sizes = set()
    for value in range(20):
        write(full, str(value), (value, 1), value, value, value)
        sizes.add(full.nbytes)
    assert len(sizes) == 2


def test_half_precision_rounds_responses_and_halves_their_bytes():
    full, half = EpisodicStore(None, 9), EpisodicStore(None, 9, "float16")
    for store in (full, half):
        write(store, "a", (1, 0), 1 / 3, 2)
    assert near(half).dtype == np.float16
    np.testing.assert_allclose(near(half)[:, 0], [1 / 3, 2], rtol=2**-11)
    assert full.nbytes - half.nbytes == 2 * 2 * 2
    assert half.arrays()["queries"].dtype == np.float32


def test_a_saved_store_goes_on_exactly_where_it_stood():
    """Also where queries were evicted, so that rows are free and ages have gaps."""
    store, copy = EpisodicStore(2, 3), EpisodicStore(2, 3)
    for value in range(7):
        write(store, str(value % 4), (value, 1), *range(value))
    write(store, "new", (9, 9), 1)
    arrays = store.arrays()
    assert len(arrays["free"]) > 0
    for name in ("queries", "responses#0"):
        assert np.shares_memory(arrays[name], store.arrays()[name])
    copy.restore(arrays, 2)
    for each in (store, copy):
        write(each, "more", (3, 3), 5, 6, 7, 8)
    assert store.prompt_ids == copy.prompt_ids
    for name, array in store.arrays().items():
        np.testing.assert_array_equal(copy.arrays()[name], array)


def saved_store():
    store = EpisodicStore(None, 3)
    write(store, "a", (1, 0), 1, 2)
    write(store, "b", (0, 1), 3)
    return store.arrays()


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("prompt_ids", np.array(["a", "a"]), "unique"),
        ("prompt_ids", np.array([1, 2]), "strings"),
        ("counts", np.array([2, 0]), "counts"),
        ("counts", np.array([2.0, 1.0]), "counts"),
        ("counts", np.array([2, 2]), "rows and counts"),
        ("rows", np.array([0, 1, 1]), "rows and counts"),
        ("rows", np.array([0, 1]), "rows and counts"),
        ("rows", np.array([0.0, 1.0, 2.0]), "rows and counts"),
        ("free", np.array([2]), "rows and counts"),
        ("ages", np.array([3, 3]), "ages"),
        ("ages", np.array([-1, 3]), "ages"),
        ("queries", np.zeros((2, 3), np.float32), "queries"),
        ("queries", np.float32(0), "queries"),
        ("queries", np.zeros((2, 2)), "float32"),
        ("responses#0", np.full((3, 2), np.nan, np.float32), "finite"),
        ("responses#0", np.zeros((4, 2), np.float32), "rows and counts"),
        ("responses#0", np.zeros((3, 3), np.float32), "responses"),
        ("counts", None, "lacks 'counts'"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_name(key, value, word):
    arrays = saved_store()
    del arrays[key]
    if value is not None:
        arrays[key] = np.asarray(value)
    with pytest.raises(SparftError, match=word):
        EpisodicStore(None, 3).restore(arrays, 2)


def test_more_than_the_capacity_is_refused():
    for capacities, word in (((1, 3), "query_capacity=1"), ((None, 1), "response_capacity=1")):
        with pytest.raises(SparftError, match=word):
            EpisodicStore(*capacities).restore(saved_store(), 2)
