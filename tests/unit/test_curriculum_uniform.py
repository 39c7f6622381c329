"""Uniform: shuffled passes over the whole pool, whatever the groups say."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.curriculum import Outcome, Passes, Prompt
from sparft_plugin.curriculum.uniform import UniformCurriculum


def started(n, seed=0):
    return UniformCurriculum().start([Prompt(f"p{i}", arm=i % 3) for i in range(n)], seed)


@given(st.integers(1, 12), st.lists(st.integers(1, 9), min_size=1, max_size=9))
def test_every_prompt_comes_once_per_pass_across_batches(size, batches):
    curriculum = started(size)
    ids = [pick.prompt.id for n in batches for pick in curriculum.select(n)]
    for start in range(0, len(ids) - size + 1, size):
        assert sorted(ids[start : start + size]) == curriculum.pool.ids.astype(str).tolist()
    left = ids[len(ids) - len(ids) % size :]
    assert len(set(left)) == len(left)


def test_every_order_of_three_prompts_is_about_as_likely():
    ids = [pick.prompt.id for pick in started(3).select(3 * 1200)]
    orders = Counter(tuple(ids[start : start + 3]) for start in range(0, len(ids), 3))
    assert len(orders) == 6
    # 200 expected of each; four standard deviations are 52.
    assert all(abs(count - 200) < 52 for count in orders.values())


def test_outcomes_change_nothing_that_comes_next():
    taught, untaught = started(6), started(6)
    for pick in taught.select(4):
        taught.observe([Outcome(pick, np.ones(4), np.zeros(4))])
    untaught.select(4)
    ids = [[pick.prompt.id for pick in curriculum.select(20)] for curriculum in (taught, untaught)]
    assert ids[0] == ids[1]


def test_a_pass_is_the_generators_permutation_taken_from_its_end():
    passes, rng = Passes(np.zeros(5, dtype=int)), np.random.default_rng(4)
    got = [passes.next(0, rng) for _ in range(10)]
    oracle = np.random.default_rng(4)
    assert got == [*oracle.permutation(5)[::-1], *oracle.permutation(5)[::-1]]


def test_a_pass_of_one_prompt_repeats_it():
    passes, rng = Passes(np.zeros(1, dtype=int)), np.random.default_rng(0)
    assert [passes.next(0, rng) for _ in range(3)] == [0] * 3


def test_a_pass_inside_each_set_hands_out_that_sets_members():
    passes, rng = Passes(np.array([1, 0, 1, 3])), np.random.default_rng(0)
    assert {passes.next(1, rng) for _ in range(2)} == {0, 2}
    assert (passes.next(0, rng), passes.next(3, rng)) == (1, 3)


@given(st.integers(2, 9), st.integers(0, 1000))
def test_a_batch_over_the_end_of_a_pass_repeats_nothing_it_can_avoid(size, seed):
    passes, rng = Passes(np.zeros(size, dtype=int)), np.random.default_rng(seed)
    for n in (size - 1, size, 1, size):
        batch = passes.batch(np.zeros(n, dtype=int), rng).tolist()
        assert len(set(batch)) == n
    doubled = passes.batch(np.zeros(2 * size, dtype=int), rng).tolist()
    assert sorted(doubled[:size]) == sorted(doubled[size:]) == list(range(size))
