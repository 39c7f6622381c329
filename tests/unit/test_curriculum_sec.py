"""SEC against three steps worked by hand and a naive re-implementation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.curriculum.sec import SecCurriculum

from .arm_data import pool, shares, signal, softmax, tell


def started(*sizes, seed=0, **options):
    return SecCurriculum(**options).start(pool(*sizes), seed)


def test_three_steps_worked_by_hand():
    curriculum = started(4, 4, 4, temperature=0.5)
    assert curriculum.value.tolist() == [0, 0, 0]

    # Step 1: arm 0 has groups of mean |A| 1 and 0.5: r = 0.75, Q = 0.5 * 0.75 = 0.375.
    # Arm 1 has one of mean |A| 0.2: Q = 0.1. Arm 2 has none and keeps 0.
    signal(curriculum, (0, [1, -1]), (0, [0.5, -0.5, 0.5, -0.5]), (1, [0.2, -0.2]))
    assert curriculum.value == pytest.approx([0.375, 0.1, 0])

    # Step 2: arm 0, all right: r = 0, Q = 0.1875. Arm 2: r = 0.8, Q = 0.4. Arm 1 keeps 0.1.
    signal(curriculum, (0, [0, 0]), (2, [0.8, -0.8]))
    assert curriculum.value == pytest.approx([0.1875, 0.1, 0.4])

    # Step 3: arm 1: r = 0.5, Q = 0.5 * 0.1 + 0.5 * 0.5 = 0.3.
    signal(curriculum, (1, [0.5, -0.5]))
    assert curriculum.value == pytest.approx([0.1875, 0.3, 0.4])

    # softmax(Q / 0.5) of [0.375, 0.6, 0.8] = [1.45499, 1.82212, 2.22554] / 5.50265.
    assert softmax(*curriculum.score_arms()) == pytest.approx([0.26442, 0.33113, 0.40445], abs=1e-5)
    assert shares(curriculum) == pytest.approx([0.26442, 0.33113, 0.40445], abs=0.015)
    assert curriculum.metrics()["arm_1/value"] == pytest.approx(0.3)


steps = st.lists(
    st.lists(
        st.tuples(st.integers(0, 2), st.lists(st.floats(-3, 3), min_size=1, max_size=4)),
        min_size=1,
        max_size=4,
    ),
    max_size=5,
)


@given(steps=steps, rate=st.floats(0.01, 1), unsampled=st.sampled_from(["keep", "decay"]))
def test_values_equal_a_naive_implementation(steps, rate, unsampled):
    # So warm that every arm is soon drawn.
    curriculum = started(4, 4, 4, learning_rate=rate, unsampled=unsampled, temperature=100)
    naive = [0.0, 0.0, 0.0]
    for step in steps:
        signal(curriculum, *step)
        for arm in range(3):
            means = [sum(map(abs, a)) / len(a) for other, a in step if other == arm]
            if means:
                naive[arm] += rate * (sum(means) / len(means) - naive[arm])
            elif unsampled == "decay":
                naive[arm] *= 1 - rate
    assert curriculum.value == pytest.approx(naive, abs=1e-9)


def test_accuracies_do_not_matter():
    one, other = started(3), started(3)
    tell(one, (0, [1, 0], [0.5, -0.5]))
    tell(other, (0, [1, 1], [0.5, -0.5]))
    assert one.state_dict() == other.state_dict()
