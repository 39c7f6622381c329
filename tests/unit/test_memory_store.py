"""The episodic store: rings, evictions, nearest queries."""

from __future__ import annotations

import numpy as np
import pytest

from sparft_plugin.errors import SparftError
from sparft_plugin.memory.store import EpisodicStore


def rows(*values):
    return np.array([[value, 0.0] for value in values], np.float32)


def query(*values):
    return np.array(values, np.float32)


def firsts(responses):
    return responses[:, 0].tolist()


def test_an_empty_store_has_nothing_near():
    assert EpisodicStore(None, 3).nearest(query(1, 0)).shape == (0, 2)


def test_a_query_without_responses_is_not_stored():
    store = EpisodicStore(None, 3)
    store.write("a", query(1, 0), rows())
    assert len(store) == 0


def test_the_oldest_response_of_a_query_leaves_first():
    store = EpisodicStore(None, 3)
    for value in range(5):
        store.write("a", query(1, 0), rows(value))
    assert firsts(store.nearest(query(1, 0))) == [2, 3, 4]
    store.write("a", query(1, 0), rows(5, 6, 7, 8, 9))
    assert firsts(store.nearest(query(1, 0))) == [7, 8, 9]
    assert store.size == 3


def test_the_query_inserted_first_leaves_though_it_was_written_last():
    store = EpisodicStore(2, 3)
    store.write("a", query(1, 0), rows(1))
    store.write("b", query(0, 1), rows(2))
    store.write("a", query(1, 0), rows(3))
    store.write("c", query(1, 1), rows(4, 5))
    assert store.prompt_ids == ["b", "c"]
    assert firsts(store.nearest(query(1, 0), k=2)) == [4, 5, 2]


def test_a_returning_query_starts_with_an_empty_ring():
    store = EpisodicStore(1, 3)
    store.write("a", query(1, 0), rows(1, 2))
    store.write("b", query(0, 1), rows(3))
    store.write("a", query(1, 0), rows(4))
    assert firsts(store.nearest(query(1, 0))) == [4]


def test_ties_go_to_the_older_query_also_after_an_eviction():
    store = EpisodicStore(3, 1)
    for name, vector in (("a", (0, 1)), ("b", (2, 0)), ("c", (3, 0)), ("d", (1, 0))):
        store.write(name, query(*vector), rows(ord(name)))
    assert firsts(store.nearest(query(5, 0), k=1)) == [ord("b")]
    assert firsts(store.nearest(query(5, 0), k=9)) == [ord("b"), ord("c"), ord("d")]


def test_parallel_queries_tie_whatever_their_length_and_their_place_in_the_product():
    rng = np.random.default_rng(0)
    vector = rng.integers(-50, 50, size=383).astype(np.float32)
    store = EpisodicStore(None, 1)
    for place in range(37):
        store.write(str(place), vector * (1 + place % 7), np.full((1, 383), place, np.float32))
    for near in store.nearest_each(rng.normal(size=(5, 383)).astype(np.float32), k=37):
        assert firsts(near) == list(range(37))


def test_later_writes_do_not_change_what_was_read():
    store = EpisodicStore(None, 1)
    store.write("a", query(1, 0), rows(1))
    read = store.nearest(query(1, 0))
    store.write("a", query(1, 0), rows(2))
    assert firsts(read) == [1]


def test_bytes_are_those_of_the_content():
    store = EpisodicStore(None, 100)
    store.write("a", query(1, 0), rows(*range(70)))
    copy = EpisodicStore(None, 100)
    copy.restore(store.arrays(), 2)
    assert store.nbytes == copy.nbytes
    assert 0 < store.nbytes - 70 * 2 * 4 < 100


def test_a_full_store_keeps_its_bytes_whatever_is_evicted():
    store = EpisodicStore(2, 3)
    sizes = set()
    for value in range(20):
        store.write(str(value), query(value, 1), rows(value, value, value))
        sizes.add(store.nbytes)
    assert len(sizes) == 2


def test_half_precision_rounds_responses_and_halves_their_bytes():
    full, half = EpisodicStore(None, 9), EpisodicStore(None, 9, "float16")
    for store in (full, half):
        store.write("a", query(1, 0), rows(1 / 3, 2))
    near = half.nearest(query(1, 0))
    assert near.dtype == np.float16
    np.testing.assert_allclose(firsts(near), [1 / 3, 2], rtol=2**-11)
    assert full.nbytes - half.nbytes == 2 * 2 * 2
    assert half.arrays()["queries"].dtype == np.float32


def test_an_origin_does_not_see_what_its_fork_writes():
    store = EpisodicStore(2, 2)
    store.write("a", query(1, 0), rows(1, 2))
    store.write("b", query(0, 1), rows(3))
    before = store.arrays()
    fork = store.fork()
    fork.write("a", query(1, 0), rows(4))
    fork.write("c", query(1, 1), rows(5))
    assert (store.prompt_ids, fork.prompt_ids) == (["a", "b"], ["b", "c"])
    for key, value in store.arrays().items():
        np.testing.assert_array_equal(value, before[key])
    assert firsts(fork.nearest(query(1, 1))) == [5]


def saved():
    store = EpisodicStore(None, 3)
    store.write("a", query(1, 0), rows(1, 2))
    store.write("b", query(0, 1), rows(3))
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
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_name(key, value, word):
    with pytest.raises(SparftError, match=word):
        EpisodicStore(None, 3).restore({**saved(), key: np.asarray(value)}, 2)


def test_more_than_the_capacity_is_refused():
    with pytest.raises(SparftError, match="query_capacity"):
        EpisodicStore(1, 3).restore(saved(), 2)
    with pytest.raises(SparftError, match="response_capacity"):
        EpisodicStore(None, 1).restore(saved(), 2)


def test_a_missing_array_is_refused_by_name():
    arrays = saved()
    del arrays["counts"]
    with pytest.raises(SparftError, match="lacks 'counts'"):
        EpisodicStore(None, 3).restore(arrays, 2)


def test_a_saved_store_goes_on_exactly_where_it_stood():
    """Also where queries were evicted, so that rows are free and ages have gaps."""
    store, copy = EpisodicStore(2, 3), EpisodicStore(2, 3)
    for value in range(7):
        store.write(str(value % 4), query(value, 1), rows(*range(value)))
    store.write("new", query(9, 9), rows(1))
    assert len(store.arrays()["free"]) > 0
    copy.restore(store.arrays(), 2)
    for each in (store, copy):
        each.write("more", query(3, 3), rows(5, 6, 7, 8))
    assert store.prompt_ids == copy.prompt_ids
    for name, array in store.arrays().items():
        np.testing.assert_array_equal(copy.arrays()[name], array)


def test_saving_copies_neither_queries_nor_responses():
    store = EpisodicStore(None, 3)
    store.write("a", query(1, 0), rows(1, 2))
    arrays = store.arrays()
    for name in ("queries", "responses#0"):
        assert np.shares_memory(arrays[name], store.arrays()[name])
