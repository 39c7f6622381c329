"""Passes and arms of a whole batch at once, against a loop over its slots; uniform is one pass."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.curriculum import Passes
from sparft_plugin.curriculum.pool import rank_among_equals
from sparft_plugin.curriculum.sec import SecCurriculum
from sparft_plugin.curriculum.sparft import SparftCurriculum
from sparft_plugin.curriculum.uniform import UniformCurriculum
from tests.unit.arm_data import pool


class NaivePasses:
    """The rule slot by slot: the end of what a set's pass has left, not yet in this batch."""

    def __init__(self, sets):
        self.members = {s: [i for i in range(len(sets)) if sets[i] == s] for s in set(sets)}
        self.left = {s: [] for s in self.members}

    def batch(self, numbers, rng):
        given = {s: set() for s in self.members}
        chosen = []
        for s in numbers:
            if not self.left[s]:
                self.left[s] = list(rng.permutation(self.members[s]))
            if len(given[s]) == len(self.members[s]):
                given[s] = set()
            left = self.left[s]
            fresh = [i for i in range(len(left)) if left[i] not in given[s]] or [len(left) - 1]
            left[fresh[-1]], left[-1] = left[-1], left[fresh[-1]]
            chosen.append(int(left.pop()))
            given[s].add(chosen[-1])
        return chosen


@given(
    sets=st.lists(st.integers(0, 4), min_size=1, max_size=25),
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=12),
    seed=st.integers(0, 999),
)
def test_a_batch_takes_what_its_slots_one_by_one_would(sets, sizes, seed):
    passes, naive = Passes(np.array(sets)), NaivePasses(sets)
    draws, one, other = (np.random.default_rng(seed) for _ in range(3))
    for size in sizes:
        numbers = draws.choice(sets, size=size)
        assert passes.batch(numbers, one).tolist() == naive.batch(numbers.tolist(), other)
    assert one.random() == other.random()


@given(st.lists(st.integers(0, 5), max_size=40))
def test_a_rank_counts_the_equals_before(numbers):
    ranks = rank_among_equals(np.array(numbers, dtype=np.int64))
    assert ranks.tolist() == [numbers[:i].count(number) for i, number in enumerate(numbers)]


def naive_arms(curriculum, n):
    """Draw for the slots that are left, skip arms that have given all they have, again."""
    room = curriculum.passes.sizes * -(-n // len(curriculum.pool))
    found = []
    while len(found) < n:
        wanted = n - len(found)
        drawn = curriculum.draw_arms(wanted if curriculum.draw == "slot" else 1, room > 0)
        for arm in drawn.tolist() * (1 if curriculum.draw == "slot" else wanted):
            if room[arm] > 0:
                room[arm] -= 1
                found.append(arm)
    return found


@pytest.mark.parametrize("method", [SparftCurriculum, SecCurriculum])
@pytest.mark.parametrize("draw", ["slot", "step"])
@pytest.mark.parametrize("n", [1, 7, 12, 40])
def test_arms_of_a_batch_are_those_of_its_slots_one_by_one(method, draw, n):
    curriculum, naive = (method(draw=draw).start(pool(5, 1, 0, 4, 2), seed=3) for _ in range(2))
    for _ in range(20):
        chosen = curriculum.choose(n)
        arms = naive_arms(naive, n)
        expected = naive.passes.batch(np.array(arms), naive.rng)
        assert curriculum.pool.arms[chosen].tolist() == arms
        assert chosen.tolist() == expected.tolist()


def test_every_order_of_three_prompts_is_about_as_likely():
    ids = [pick.prompt.id for pick in UniformCurriculum().start(pool(1, 1, 1)).select(3 * 1200)]
    orders = Counter(tuple(ids[start : start + 3]) for start in range(0, len(ids), 3))
    assert len(orders) == 6
    # 200 expected of each; four standard deviations are 52.
    assert all(abs(count - 200) < 52 for count in orders.values())
