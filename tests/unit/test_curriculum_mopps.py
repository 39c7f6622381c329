"""MoPPS' posteriors against worked numbers, and its choice against a naive one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.curriculum.mopps import MoppsCurriculum
from tests.unit.prompt_data import even, group, ids, teach


def started(n=3, seed=0, **options):
    return MoppsCurriculum(**options).start(even(n), seed)


def test_three_steps_worked_by_hand():
    curriculum = started(decay=0.5)
    # p00 from Beta(1, 1): a = 0.5 + 0.5 + 3 = 4, b = 0.5 + 0.5 + 1 = 2.
    teach(curriculum, ("p00", 3, 4))
    assert curriculum.right.tolist() == [4, 1, 1]
    assert curriculum.wrong.tolist() == [2, 1, 1]
    # p00 again: a = 2 + 0.5 + 0 = 2.5, b = 1 + 0.5 + 4 = 5.5; p01: a = 1 + 2, b = 1.
    teach(curriculum, ("p00", 0, 4), ("p01", 2, 2))
    assert curriculum.right.tolist() == [2.5, 3, 1]
    assert curriculum.wrong.tolist() == [5.5, 1, 1]
    # p01: a = 1.5 + 0.5 + 1 = 3, b = 0.5 + 0.5 + 1 = 2; what is not observed stays.
    teach(curriculum, ("p01", 1, 2))
    assert curriculum.right.tolist() == [2.5, 3, 1]
    assert curriculum.wrong.tolist() == [5.5, 2, 1]
    means = (2.5 / 8 + 3 / 5 + 1 / 2) / 3
    assert curriculum.metrics()["posterior_mean"] == pytest.approx(means)


def test_two_groups_of_a_prompt_fade_it_once():
    curriculum = started(n=1, decay=0.5)
    one, other = curriculum.select(2)
    curriculum.observe([group(one, 1, 4), group(other, 2, 4)])
    assert curriculum.right.tolist() == [0.5 + 0.5 + 3]
    assert curriculum.wrong.tolist() == [0.5 + 0.5 + 5]


@given(seed=st.integers(0, 2**32), n=st.integers(1, 8), target=st.floats(0, 1))
def test_picks_equal_a_naive_choice_on_the_same_random_numbers(seed, n, target):
    curriculum = started(n=9, seed=seed, target=target, candidates=None)
    teach(curriculum, ("p01", 4, 4), ("p05", 0, 8), ("p07", 3, 6))
    state = curriculum.rng.bit_generator.state
    picks = set(ids(curriculum.select(n)))
    rng = np.random.default_rng()
    rng.bit_generator.state = state
    drawn = [rng.beta(a, b) for a, b in zip(curriculum.right, curriculum.wrong, strict=True)]
    nearest = sorted(range(9), key=lambda i: (drawn[i] - target) ** 2)[:n]
    assert picks == {f"p{i:02}" for i in nearest}


def test_prompts_known_to_be_half_solved_are_preferred():
    curriculum = started(n=30, candidates=None)
    results = [(f"p{i:02}", [0, 100, 50][i % 3], 100) for i in range(30)]
    teach(curriculum, *results)
    assert {int(name[1:]) % 3 for name in ids(curriculum.select(10))} == {2}
    assert curriculum.metrics()["near_target"] == pytest.approx(1 / 3)
