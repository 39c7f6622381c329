"""SEC, DUMP and Dads against steps worked by hand and naive re-implementations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.curriculum.dads import DadsCurriculum
from sparft_plugin.curriculum.dump import DumpCurriculum
from sparft_plugin.curriculum.sec import SecCurriculum
from sparft_plugin.errors import SparftError

from .arm_data import pool, shares, signal, softmax, tell


def steps(numbers, most):
    """Observations of groups (arm, numbers of its rollouts) of three arms."""
    groups = st.tuples(st.integers(0, 2), st.lists(numbers, min_size=1, max_size=most))
    return st.lists(st.lists(groups, min_size=1, max_size=4), max_size=6)


def test_sec_worked_by_hand():
    curriculum = SecCurriculum(temperature=0.5).start(pool(4, 4, 4))
    # Arm 0 has groups of mean |A| 1 and 0.5: r = 0.75, Q = 0.5 * 0.75. Arm 1: Q = 0.1. Arm 2 none.
    signal(curriculum, (0, [1, -1]), (0, [0.5, -0.5, 0.5, -0.5]), (1, [0.2, -0.2]))
    assert curriculum.value == pytest.approx([0.375, 0.1, 0])
    # Arm 0, all right: r = 0. Arm 2: r = 0.8. Arm 1 keeps 0.1, then r = 0.5.
    signal(curriculum, (0, [0, 0]), (2, [0.8, -0.8]))
    signal(curriculum, (1, [0.5, -0.5]))
    assert curriculum.value == pytest.approx([0.1875, 0.3, 0.4])
    # softmax(Q / 0.5) of [0.375, 0.6, 0.8] = [1.45499, 1.82212, 2.22554] / 5.50265.
    assert softmax(*curriculum.score_arms()) == pytest.approx([0.26442, 0.33113, 0.40445], abs=1e-5)
    assert shares(curriculum) == pytest.approx([0.26442, 0.33113, 0.40445], abs=0.015)
    assert curriculum.metrics()["arm_1/value"] == pytest.approx(0.3)


@given(
    steps=steps(st.floats(-3, 3), 4),
    rate=st.floats(0.01, 1),
    unsampled=st.sampled_from(["keep", "decay"]),
)
def test_sec_equals_a_naive_implementation(steps, rate, unsampled):
    # So warm that every arm is soon drawn.
    options = {"learning_rate": rate, "unsampled": unsampled, "temperature": 100}
    curriculum, naive = SecCurriculum(**options).start(pool(4, 4, 4)), [0.0, 0.0, 0.0]
    for step in steps:
        signal(curriculum, *step)
        for arm in range(3):
            means = [sum(map(abs, a)) / len(a) for other, a in step if other == arm]
            if means:
                naive[arm] += rate * (sum(means) / len(means) - naive[arm])
            elif unsampled == "decay":
                naive[arm] *= 1 - rate
    assert curriculum.value == pytest.approx(naive, abs=1e-9)


def test_dump_worked_by_hand():
    curriculum = DumpCurriculum(window=4, temperature=1.0).start(pool(4, 4))
    assert curriculum.bounds() == pytest.approx([0, 0])
    # Arm 0, |A| = 1, 0.5. N = 2: mean 0.75 + sqrt(2 ln 3 / 3); arm 1: sqrt(2 ln 3 / 1).
    signal(curriculum, (0, [1, -0.5]))
    assert curriculum.bounds() == pytest.approx([0.75 + 0.855808, 1.482304], abs=1e-6)
    # Arm 0, |A| = 0.2, 0.4 and 0.6: the window of four keeps 0.5, 0.2, 0.4, 0.6: mean 0.425. Arm 1:
    # 0.9, then 0, 0: mean 0.3. N = 8, n = 5 and 3.
    signal(curriculum, (0, [0.2, -0.4]), (0, [0.6]), (1, [-0.9]))
    signal(curriculum, (1, [0, 0]))
    assert curriculum.bounds() == pytest.approx([1.280808, 1.348147], abs=1e-6)
    # softmax(bounds): 1 / (1 + exp(0.067339)) = 0.483172.
    assert shares(curriculum) == pytest.approx([0.483172, 0.516828], abs=0.015)
    assert curriculum.metrics()["arm_0/abs_advantage"] == pytest.approx(0.425)
    assert curriculum.metrics()["arm_1/ucb"] == pytest.approx(1.348147, abs=1e-6)
    curriculum.temperature = 0.01
    assert shares(curriculum)[1] > 0.99


@given(steps=steps(st.floats(-3, 3), 9), window=st.integers(1, 7))
def test_dump_equals_a_naive_implementation(steps, window):
    curriculum = DumpCurriculum(window=window, temperature=1000).start(pool(4, 4, 4))
    naive = {arm: [] for arm in range(3)}
    for step in steps:
        signal(curriculum, *step)
        # Groups of an arm are told in the order of their picks, which is theirs in the step.
        for arm, advantages in step:
            naive[arm] += [abs(a) for a in advantages]
    total = sum(map(len, naive.values()))
    bounds = []
    for values in naive.values():
        mean = np.mean(values[-window:]) if values else 0.0
        bounds.append(mean + math.sqrt(2 * math.log(total + 1) / (len(values) + 1)))
    assert curriculum.bounds() == pytest.approx(bounds, abs=1e-9)


def test_dumps_state_of_another_window_is_refused_by_name():
    small, large = (DumpCurriculum(window=window).start(pool(3)) for window in (5, 6))
    with pytest.raises(SparftError, match=r"windows of 5 rollouts, but sparft.curriculum.window=6"):
        large.load_state_dict(small.state_dict())


def test_dads_worked_by_hand():
    curriculum = DadsCurriculum().start(pool(4, 4, 4))
    assert curriculum.gaps() == pytest.approx([1, 1, 1])
    # Arm 0: 3 of 4; arm 1: 0 of 2 and 1 of 2, 1 of 4. First values are taken as they are.
    tell(curriculum, (0, [1, 1, 1, 0]), (1, [0, 0]), (1, [1, 0]))
    assert curriculum.gaps() == pytest.approx([0.25, 0.75, 1])
    # Arm 0: all right: 0.5 * 0.75 + 0.5. Arm 2: never, then always right; its 0 is smoothed.
    tell(curriculum, (0, [1, 1]), (2, [0, 0]))
    tell(curriculum, (2, [1, 1]))
    assert curriculum.gaps() == pytest.approx([0.125, 0.75, 0.5])
    # exp(v / 0.3) = [1.516873, 12.182494, 5.294490], sum 18.993857.
    assert shares(curriculum) == pytest.approx([0.079861, 0.641391, 0.278748], abs=0.015)
    assert curriculum.metrics()["arm_1/gap"] == pytest.approx(0.75)


@given(steps=steps(st.floats(0, 1), 4), smoothing=st.floats(0, 1), target=st.floats(0.1, 1))
def test_dads_equals_a_naive_implementation(steps, smoothing, target):
    options = {"smoothing": smoothing, "target": target, "temperature": 100}
    curriculum, naive = DadsCurriculum(**options).start(pool(4, 4, 4)), [None, None, None]
    for step in steps:
        tell(curriculum, *step)
        for arm in {arm for arm, _ in step}:
            rate = np.mean([a for other, accuracies in step if other == arm for a in accuracies])
            old = rate if naive[arm] is None else naive[arm]
            naive[arm] = smoothing * old + (1 - smoothing) * rate
    gaps = [max(0.0, target - (reward or 0.0)) for reward in naive]
    assert curriculum.gaps() == pytest.approx(gaps, abs=1e-9)
