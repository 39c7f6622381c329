"""A ring is the list of the last rows written, whatever the sizes of the writes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.memory.ring import SEGMENT, Ring

FLOAT = np.dtype(np.float32)
sizes = st.lists(st.integers(0, 3 * SEGMENT), max_size=20)


def numbered(start, count):
    return np.repeat(np.arange(start, start + count, dtype=np.float32)[:, None], 2, axis=1)


@given(capacity=st.integers(1, 3 * SEGMENT + 1), writes=sizes)
def test_it_holds_the_last_rows_oldest_first(capacity, writes):
    ring, everything = Ring(capacity, 2, FLOAT), []
    for size in writes:
        rows = numbered(len(everything), size)
        ring.write(rows)
        everything += rows[:, 0].tolist()
        expected = everything[-capacity:]
        assert ring.held == len(expected)
        if expected:
            assert ring.read()[:, 0].tolist() == expected


@given(capacity=st.integers(1, 3 * SEGMENT), before=sizes, ours=sizes, theirs=sizes)
def test_a_fork_and_its_origin_do_not_see_each_other(capacity, before, ours, theirs):
    ring, twins = Ring(capacity, 2, FLOAT), [Ring(capacity, 2, FLOAT) for _ in range(2)]
    for size in [1, *before]:
        for each in (ring, *twins):
            each.write(numbered(0, size))
    fork = ring.fork()
    for size in ours:
        ring.write(numbered(1000, size))
        twins[0].write(numbered(1000, size))
    for size in theirs:
        fork.write(numbered(2000, size))
        twins[1].write(numbered(2000, size))
    np.testing.assert_array_equal(ring.read(), twins[0].read())
    np.testing.assert_array_equal(fork.read(), twins[1].read())


def test_what_was_read_stays_as_it_was():
    ring = Ring(3, 2, FLOAT)
    ring.write(numbered(0, 3))
    read = ring.read()
    ring.write(numbered(3, 2))
    assert read[:, 0].tolist() == [0, 1, 2]


def test_it_takes_room_as_it_fills():
    ring = Ring(100, 2, FLOAT)
    ring.write(numbered(0, 1))
    assert sum(segment.nbytes for segment in ring._segments) == SEGMENT * 2 * 4
    ring.write(numbered(0, 400))
    assert sum(segment.nbytes for segment in ring._segments) == 100 * 2 * 4
