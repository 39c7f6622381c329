"""DUMP against three steps worked by hand and a naive re-implementation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.curriculum.dump import DumpCurriculum
from sparft_plugin.errors import SparftError

from .arm_data import pool, shares, signal


def started(*sizes, seed=0, **options):
    return DumpCurriculum(**options).start(pool(*sizes), seed)


def test_three_steps_worked_by_hand():
    curriculum = started(4, 4, window=4, temperature=1.0)
    # No rollouts: sqrt(2 ln 1 / 1) = 0.
    assert curriculum.bounds() == pytest.approx([0, 0])

    # Step 1: arm 0, |A| = 1, 0.5. N = 2: mean 0.75 + sqrt(2 ln 3 / 3); arm 1: sqrt(2 ln 3 / 1).
    signal(curriculum, (0, [1, -0.5]))
    assert curriculum.bounds() == pytest.approx([0.75 + 0.855808, 1.482304], abs=1e-6)

    # Step 2: arm 0 twice, |A| = 0.2, 0.4 and 0.6: five so far, of which the window of four keeps
    # 0.5, 0.2, 0.4, 0.6: mean 0.425. Arm 1: |A| = 0.9. N = 6: bonuses of n = 5 and 1.
    signal(curriculum, (0, [0.2, -0.4]), (0, [0.6]), (1, [-0.9]))
    assert curriculum.count.tolist() == [5, 1]
    assert curriculum.mean == pytest.approx([0.425, 0.9])
    bonus = [math.sqrt(2 * math.log(7) / 6), math.sqrt(2 * math.log(7) / 2)]
    assert bonus == pytest.approx([0.805380, 1.394959], abs=1e-6)
    assert curriculum.bounds() == pytest.approx([0.425 + 0.805380, 0.9 + 1.394959], abs=1e-6)

    # Step 3: arm 1, all right: |A| = 0, 0: mean 0.3, n = 3. N = 8.
    signal(curriculum, (1, [0, 0]))
    bounds = [0.425 + math.sqrt(2 * math.log(9) / 6), 0.3 + math.sqrt(2 * math.log(9) / 4)]
    assert bounds == pytest.approx([1.280808, 1.348147], abs=1e-6)
    assert curriculum.bounds() == pytest.approx(bounds)

    # softmax(bounds): 1 / (1 + exp(0.067339)) = 0.483172.
    assert shares(curriculum) == pytest.approx([0.483172, 0.516828], abs=0.015)
    assert curriculum.metrics()["arm_0/abs_advantage"] == pytest.approx(0.425)
    assert curriculum.metrics()["arm_1/ucb"] == pytest.approx(bounds[1])


@given(
    steps=st.lists(
        st.lists(
            st.tuples(st.integers(0, 2), st.lists(st.floats(-3, 3), min_size=1, max_size=9)),
            min_size=1,
            max_size=4,
        ),
        max_size=6,
    ),
    window=st.integers(1, 7),
)
def test_bounds_equal_a_naive_implementation(steps, window):
    curriculum = started(4, 4, 4, window=window, temperature=1000)
    naive = {arm: [] for arm in range(3)}
    for step in steps:
        signal(curriculum, *step)
        # Groups of an arm are told in the order of their picks, which is theirs in the step.
        for arm, advantages in step:
            naive[arm] += [abs(a) for a in advantages]
    total = sum(map(len, naive.values()))
    bounds = []
    for values in naive.values():
        latest = values[-window:]
        mean = sum(latest) / len(latest) if latest else 0.0
        bounds.append(mean + math.sqrt(2 * math.log(total + 1) / (len(values) + 1)))
    assert curriculum.bounds() == pytest.approx(bounds, abs=1e-9)


def test_an_arm_never_observed_is_drawn_first():
    curriculum = started(4, 4, temperature=1000)
    for _ in range(20):
        signal(curriculum, (0, [0.8, -0.8]))
    curriculum.temperature = 0.1
    assert shares(curriculum)[1] > 0.99


def test_a_state_of_another_window_is_refused_by_name():
    small, large = started(3, window=5), started(3, window=6)
    with pytest.raises(SparftError, match=r"windows of 5 rollouts, but sparft.curriculum.window=6"):
        large.load_state_dict(small.state_dict())


def test_more_rollouts_than_the_window_in_one_observation_keep_the_latest():
    curriculum = started(2, window=3)
    signal(curriculum, (0, np.arange(1, 11) / 10))
    assert curriculum.mean == pytest.approx([(0.8 + 0.9 + 1.0) / 3])
