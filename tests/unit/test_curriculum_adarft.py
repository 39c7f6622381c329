"""AdaRFT's target against worked numbers, and the rest that its release lacks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.curriculum.adarft import AdarftCurriculum
from tests.unit.prompt_data import even, group, ids, pool


def observe(curriculum, right, rollouts):
    curriculum.observe([group(curriculum.select(1)[0], right, rollouts)])


def test_three_steps_worked_by_hand():
    curriculum = AdarftCurriculum(start_difficulty=0.2).start(even(11))
    # All right: T = 0.2 + 0.5 tanh(2 (1 - 0.5)) = 0.2 + 0.5 * 0.761594 = 0.580797.
    observe(curriculum, 4, 4)
    assert curriculum.target == pytest.approx(0.580797, abs=1e-6)
    # A quarter right: T = 0.580797 + 0.5 tanh(2 (0.25 - 0.5)) = 0.580797 - 0.5 * 0.462117.
    observe(curriculum, 1, 4)
    assert curriculum.target == pytest.approx(0.349738, abs=1e-6)
    # None right: 0.349738 - 0.380797 is below 0, where the target stops.
    observe(curriculum, 0, 4)
    assert curriculum.target == 0.0
    assert curriculum.metrics()["target_difficulty"] == 0.0


def test_the_reward_is_the_mean_over_rollouts_not_over_groups():
    curriculum = AdarftCurriculum(start_difficulty=0.5).start(even(11))
    one, other = curriculum.select(2)
    curriculum.observe([group(one, 1, 1), group(other, 1, 3)])
    # Two of four rollouts are right, so the target stands still; the mean of groups is 2/3.
    assert curriculum.target == pytest.approx(0.5)


@given(
    difficulties=st.lists(st.floats(0, 1), min_size=3, max_size=12),
    target=st.floats(0, 1),
    n=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_a_batch_is_the_nearest_prompts(difficulties, target, n, seed):
    curriculum = AdarftCurriculum(start_difficulty=target).start(pool(*difficulties), seed)
    got = sorted(abs(pick.prompt.difficulty - target) for pick in curriculum.select(n))
    assert got == sorted(abs(d - target) for d in difficulties)[:n]


def test_a_target_that_stands_still_does_not_repeat_the_batch():
    curriculum = AdarftCurriculum(rest=0.5, start_difficulty=0.0).start(even(20))
    batches = [set(ids(curriculum.select(5))) for _ in range(4)]
    nearest = [{f"p{i:02}" for i in range(first, first + 5)} for first in (0, 5, 10)]
    # Ten picks, half the pool, come after those of the first batch before they come again.
    assert batches == [*nearest, nearest[0]]


def test_without_rest_the_batch_repeats_as_in_the_release():
    curriculum = AdarftCurriculum(rest=0).start(even(20))
    assert set(ids(curriculum.select(5))) == set(ids(curriculum.select(5)))


def test_a_full_rest_takes_every_prompt_once_before_any_again():
    curriculum = AdarftCurriculum(rest=1.0).start(even(12))
    for _ in range(3):
        assert len({name for _ in range(4) for name in ids(curriculum.select(3))}) == 12


def test_a_batch_that_needs_resting_prompts_takes_those_that_rested_longest():
    curriculum = AdarftCurriculum(rest=1.0).start(even(6))
    early, late = set(ids(curriculum.select(2))), set(ids(curriculum.select(3)))
    batch = set(ids(curriculum.select(3)))
    assert early <= batch
    assert not late & batch


def test_equal_difficulties_are_drawn_by_chance():
    drawn = {ids(AdarftCurriculum().start(pool(*[0.3] * 8), s).select(1))[0] for s in range(60)}
    assert len(drawn) == 8
