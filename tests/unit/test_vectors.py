"""Vectors from an array, a file, a column or the cache are one matrix of unit rows."""

from __future__ import annotations

import errno
import itertools
import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sparft_plugin import SparftError
from sparft_plugin.corpus import Corpus
from sparft_plugin.reduction import vectors
from sparft_plugin.reduction.cache import EmbeddingCache, text_keys, write_shard
from sparft_plugin.reduction.vectors import column_vectors, open_vectors, take_vectors, to_unit
from tests.unit.reduction_data import write

WIDTH = 3
numbers = st.floats(-1e6, 1e6, width=32).filter(lambda x: x == 0 or abs(x) > 1e-6)
arrays = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 8), st.integers(1, 20)), elements=numbers
).filter(lambda block: block.any(axis=1).all())


def matrix(n, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).normal(size=(n, WIDTH)).astype(dtype)


def unit(block):
    """Rows of norm 1 by an independent sum in float64."""
    wide = block.astype(np.float64)
    return wide / np.linalg.norm(wide, axis=1, keepdims=True)


def named(place):
    return f"row {place}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("vectors")


count = itertools.count()


def from_array(folder, block, rows):
    return take_vectors(block, rows, len(block))


def from_file(folder, block, rows):
    path = folder / f"{next(count)}.npy"
    np.save(path, block)
    return take_vectors(path, rows, len(block))


def from_shards(folder, block, rows):
    place, half = folder / str(next(count)), len(block) // 2
    keys = text_keys(map(str, range(len(block))))
    store = EmbeddingCache(place)
    scaled = to_unit(block, "block", named)
    for part in (slice(half, None), slice(0, half)):
        if len(keys[part]):
            store.add(write_shard(place, keys[part], scaled[part]))
    return store.vectors(keys[rows])


SOURCES = [from_array, from_file, from_shards]


@given(arrays, st.data())
def test_a_unit_vector_depends_on_its_row_alone(block, data):
    found = to_unit(block, "block", named)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, unit(block), atol=1e-5)
    order = data.draw(st.permutations(range(len(block))))
    size = data.draw(st.integers(1, len(block)))
    for rows in (order[:size], order[size:]):
        if rows:
            np.testing.assert_array_equal(to_unit(block[rows], "block", named), found[rows])
    np.testing.assert_array_equal(to_unit(found, "block", named), found)


@pytest.mark.parametrize("exponent", [-40, -30, -20, -13, 13, 18, 37])
def test_a_vector_keeps_its_direction_however_short_or_long_it_is(exponent):
    block = matrix(6)
    block[::2] *= np.float32(10) ** np.float32(exponent)
    given = block.copy()
    found = to_unit(block, "block", named)
    np.testing.assert_allclose(found, unit(block), atol=2e-5 if exponent < -37 else 1e-6)
    np.testing.assert_array_equal(block, given)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("in_memory", [True, False])
@given(st.integers(1, 12), st.integers(1, 5), st.data())
def test_taking_is_indexing_a_matrix_in_memory_and_on_disk(folder, source, in_memory, n, b, data):
    rows = data.draw(st.lists(st.sampled_from(range(n)), min_size=1, unique=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors, "BLOCK", b)
        patch.setattr(vectors, "IN_MEMORY", 2**20 if in_memory else 0)
        taken = source(folder, matrix(n), np.array(rows))
        assert isinstance(taken, np.memmap) != in_memory
        np.testing.assert_allclose(taken, unit(matrix(n))[rows], atol=1e-6)
        places = [(place.start, len(block)) for place, block in vectors.blocks(taken)]
        seen = np.concatenate([block for _, block in vectors.blocks(taken)])
    np.testing.assert_array_equal(seen, taken)
    assert [size for _, size in places] == [min(b, len(rows) - start) for start, _ in places]


def test_a_disk_without_room_is_named_before_anything_is_written(monkeypatch):
    def no_room(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(vectors, "IN_MEMORY", 0)
    monkeypatch.setattr(os, "posix_fallocate", no_room, raising=False)
    with pytest.raises(SparftError, match=r"the 5 vectors do not fit into .*No space.*TMPDIR"):
        take_vectors(matrix(5), np.arange(5), 5)


@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f4", "<f8"])
def test_files_of_every_float_type_are_the_same_vectors(folder, dtype):
    block, rows = matrix(7).astype(np.float16).astype(dtype), np.arange(7)
    np.testing.assert_array_equal(
        from_file(folder, block, rows), from_array(folder, block.astype(np.float32), rows)
    )


@pytest.mark.parametrize(
    ("value", "problem"),
    [(0.0, "zero"), (np.nan, "not finite"), (np.inf, "not finite"), (1e300, "not finite")],
)
def test_a_vector_without_a_direction_is_named_by_its_row_if_it_is_taken(folder, value, problem):
    block = np.ones((6, 2))
    block[5] = value
    path = folder / "bad.npy"
    np.save(path, block)
    for embeddings, name in ((path, "bad.npy"), (block, "the embeddings")):
        assert len(take_vectors(embeddings, np.array([4, 0, 2]), 6)) == 3
        with pytest.raises(SparftError, match=f"{name}: the vector of row 5 is {problem}; use"):
            take_vectors(embeddings, np.array([0, 5, 2]), 6)


@pytest.mark.parametrize("shape", [(4, 3), (6, 3), (5,), (5, 0), (0, 3), (5, 3, 1)])
def test_a_wrong_number_of_rows_or_axes_is_refused(folder, shape):
    path = folder / "shape.npy"
    np.save(path, np.ones(shape, dtype=np.float32))
    for embeddings in (path, np.ones(shape)):
        with pytest.raises(SparftError, match=r"have shape \(.*one row for each of the 5 rows"):
            open_vectors(embeddings, 5)


def test_files_that_hold_no_matrix_of_floats_are_named(tmp_path):
    np.save(tmp_path / "ints.npy", np.ones((5, 3), dtype=int))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "fortran.npy", np.asfortranarray(matrix(5)))
    np.savez(tmp_path / "more.npz", a=matrix(5))
    np.save(tmp_path / "cut.npy", matrix(5))
    whole = (tmp_path / "cut.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[:-1])
    (tmp_path / "text.npy").write_text("not numpy")
    (tmp_path / "empty.npy").touch()
    (tmp_path / "folder.npy").mkdir()
    cases = {
        "none.npy": "does not exist; check the path",
        "ints.npy": "holds no floats; save them with numpy.save",
        "more.npz": "holds no floats; save them with numpy.save",
        "fortran.npy": "is in Fortran order; save a C-ordered array",
        **dict.fromkeys(
            ["objects.npy", "cut.npy", "text.npy", "empty.npy", "folder.npy"],
            "is no .npy file of numbers: ",
        ),
    }
    for name, message in cases.items():
        with pytest.raises(SparftError, match=f"{name} {message}"):
            open_vectors(tmp_path / name)


def test_a_column_gives_the_vectors_of_the_same_numbers(tmp_path):
    block = matrix(7) * 5
    rows = [{"inner": {"emb": row.tolist()}} for row in block]
    (tmp_path / "b.jsonl").write_text("\n".join(map(json.dumps, rows[4:])))
    corpus = Corpus.open([write(tmp_path / "a.parquet", rows[:4]), tmp_path / "b.jsonl"])
    found = column_vectors(corpus, "inner.emb")
    np.testing.assert_array_equal(found, to_unit(block, "block", named))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([1.0], "has 1 numbers where earlier rows have 2"),
        (None, "must be a list of numbers, not NoneType"),
        ([], "must be a list of numbers, not list"),
        (0.5, "must be a list of numbers, not float"),
        ("ab", "must be a list of numbers, not str"),
        ([1.0, None], "must be a flat list of numbers"),
        (["1.0", "2.0"], "must be a flat list of numbers"),
        ([True, False], "must be a flat list of numbers"),
        ([[1.0, 2.0]], "must be a flat list of numbers"),
        ([1.0, [2.0]], "must be a flat list of numbers"),
        ([0.0, 0.0], "the vector of this row is zero"),
        ([1.0, float("nan")], "the vector of this row is not finite"),
    ],
)
def test_a_bad_value_of_a_column_is_named_by_source_row_and_key(value, problem):
    good = [{"emb": [1.0, 2.0]}]
    sources = (
        Corpus.of_rows(good, "a").sources + Corpus.of_rows([*good, {"emb": value}], "b").sources
    )
    with pytest.raises(SparftError) as caught:
        column_vectors(Corpus(sources), "emb")
    assert str(caught.value).startswith(f"b, row 1, key 'emb': {problem}")
