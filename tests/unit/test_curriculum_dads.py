"""Dads against three steps worked by hand and a naive re-implementation."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.curriculum.dads import DadsCurriculum

from .arm_data import pool, shares, softmax, tell


def started(*sizes, seed=0, **options):
    return DadsCurriculum(**options).start(pool(*sizes), seed)


def test_three_steps_worked_by_hand():
    curriculum = started(4, 4, 4)
    # Never seen: r = 0, v = 1 for all.
    assert curriculum.gaps() == pytest.approx([1, 1, 1])

    # Step 1: arm 0: 3 of 4; arm 1: 0 of 2 and 1 of 2, 1 of 4. First values are taken as they are.
    tell(curriculum, (0, [1, 1, 1, 0]), (1, [0, 0]), (1, [1, 0]))
    assert curriculum.gaps() == pytest.approx([0.25, 0.75, 1])

    # Step 2: arm 0: all right: 0.5 * 0.75 + 0.5 = 0.875. Arm 1 keeps 0.25, arm 2: never right, 0.
    tell(curriculum, (0, [1, 1]), (2, [0, 0]))
    assert curriculum.gaps() == pytest.approx([0.125, 0.75, 1])

    # Step 3: arm 2: all right. Its 0 was a pass rate, so it is smoothed: 0.5.
    tell(curriculum, (2, [1, 1]))
    assert curriculum.gaps() == pytest.approx([0.125, 0.75, 0.5])

    # exp(v / 0.3) = [1.516873, 12.182494, 5.294490], sum 18.993857.
    expected = [0.079861, 0.641391, 0.278748]
    assert softmax(*curriculum.score_arms()) == pytest.approx(expected, abs=1e-5)
    assert shares(curriculum) == pytest.approx(expected, abs=0.015)
    assert curriculum.metrics()["arm_1/gap"] == pytest.approx(0.75)


def test_an_arm_above_the_target_is_not_drawn_less_than_one_at_it():
    curriculum = started(4, 4, target=0.5)
    tell(curriculum, (0, [1, 0]), (1, [1, 1]))
    assert curriculum.gaps().tolist() == [0, 0]
    assert shares(curriculum) == pytest.approx([0.5, 0.5], abs=0.02)


@given(
    steps=st.lists(
        st.lists(
            st.tuples(st.integers(0, 2), st.lists(st.floats(0, 1), min_size=1, max_size=4)),
            min_size=1,
            max_size=4,
        ),
        max_size=6,
    ),
    smoothing=st.floats(0, 1),
    target=st.floats(0.1, 1),
)
def test_gaps_equal_a_naive_implementation(steps, smoothing, target):
    curriculum = started(4, 4, 4, smoothing=smoothing, target=target, temperature=100)
    naive = [None, None, None]
    for step in steps:
        tell(curriculum, *step)
        for arm in {arm for arm, _ in step}:
            rollouts = [a for other, accuracies in step if other == arm for a in accuracies]
            rate = sum(rollouts) / len(rollouts)
            old = rate if naive[arm] is None else naive[arm]
            naive[arm] = smoothing * old + (1 - smoothing) * rate
    gaps = [max(0.0, target - (reward or 0.0)) for reward in naive]
    assert curriculum.gaps() == pytest.approx(gaps, abs=1e-9)


def test_an_arm_that_is_never_solved_does_not_starve_the_solved_ones():
    curriculum = started(5, 5)
    for _ in range(30):
        tell(curriculum, (0, [0, 0]), (1, [1, 1]))
    # v = 1 and 0: exp(-1 / 0.3) to 1.
    solved = math.exp(-1 / 0.3) / (1 + math.exp(-1 / 0.3))
    assert shares(curriculum)[1] == pytest.approx(solved, abs=0.01)
    assert solved > 0.03
