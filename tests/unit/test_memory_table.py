"""A table gives back what was written under its numbers, and takes no more room than it needs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparft_plugin.errors import SparftError
from sparft_plugin.memory import table
from sparft_plugin.memory.table import RowTable

FLOAT = np.dtype(np.float32)
NONE = np.empty(0, np.int64)


@pytest.fixture(autouse=True, scope="module")
def small_blocks():
    patch = pytest.MonkeyPatch()
    patch.setattr(table, "BLOCK", 4)
    yield
    patch.undo()


def numbered(start, count):
    return np.repeat(np.arange(start, start + count, dtype=np.float32)[:, None], 2, axis=1)


@settings(max_examples=100, deadline=None)
@given(moves=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=20))
def test_it_holds_what_was_written_whatever_was_given_back(moves):
    rows, held, written = RowTable(2, FLOAT), {}, 0
    for taken, given_back in moves:
        numbers = rows.write(numbered(written, taken))
        held |= dict(zip(numbers.tolist(), range(written, written + taken), strict=True))
        written += taken
        leaving = list(held)[:given_back]
        rows.give_back(np.array(leaving, np.int64))
        for number in leaving:
            del held[number]
    assert rows.read(np.array(list(held), np.int64))[:, 0].tolist() == list(held.values())
    assert {*held, *rows.free} == set(range(sum(map(len, rows.parts()))))


def test_a_fork_takes_nothing_that_its_origin_holds():
    rows = RowTable(2, FLOAT)
    numbers = rows.write(numbered(0, 6))
    fork = rows.fork()
    fork.give_back(numbers)
    fresh = fork.write(numbered(10, 6))
    assert rows.read(numbers)[:, 0].tolist() == fork.read(numbers)[:, 0].tolist() == [*range(6)]
    assert fork.read(fresh)[:, 0].tolist() == [*range(10, 16)]
    assert set(fresh) & set(numbers) == set()


def test_what_was_read_stays_as_it_was():
    rows = RowTable(2, FLOAT)
    numbers = rows.write(numbered(0, 3))
    read = rows.read(numbers)
    rows.give_back(numbers)
    rows.write(numbered(3, 3))
    assert read[:, 0].tolist() == [0, 1, 2]


def test_rows_given_back_are_taken_before_new_ones_the_first_one_first():
    rows = RowTable(2, FLOAT)
    rows.write(numbered(0, 5))
    rows.give_back(np.array([3, 1]))
    assert rows.write(numbered(5, 3)).tolist() == [3, 1, 5]


def test_its_parts_are_its_blocks_themselves_and_a_copy_of_them_restores_it():
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


@pytest.mark.parametrize(
    ("parts", "word"),
    [
        ([np.zeros((3, 2), np.float32), np.zeros((1, 2), np.float32)], "shape"),
        ([np.zeros((5, 2), np.float32)], "shape"),
        ([np.zeros((4, 3), np.float32)], "shape"),
        ([np.zeros((4, 2))], "float32"),
        ([np.full((4, 2), np.nan, np.float32)], "finite"),
    ],
)
def test_parts_that_are_no_blocks_are_refused(parts, word):
    with pytest.raises(SparftError, match=word):
        RowTable(2, FLOAT).restore(parts, NONE)
