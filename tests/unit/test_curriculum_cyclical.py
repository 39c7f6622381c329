"""Cyclical curriculum: shares, subsets and how phases meet."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.curriculum.cyclical import CyclicalCurriculum
from tests.unit.prompt_data import even, ids, pool


def paper_sizes(start, end, alpha, count):
    """The paper's Algorithm 1, one size after the other."""
    sizes = [start]
    while len(sizes) < count:
        last = sizes[-1]
        rising = last == start or (len(sizes) > 1 and sizes[-2] < last and last != end)
        sizes.append(min(last / alpha, end) if rising else max(last * alpha, start))
    return sizes


@given(
    start=st.floats(0.05, 1.0), width=st.floats(0.0, 0.95), alpha=st.sampled_from([0.3, 0.5, 0.8])
)
def test_shares_equal_the_papers_algorithm(start, width, alpha):
    end = min(1.0, start + width)
    shares = CyclicalCurriculum(start_share=start, end_share=end, multiplier=alpha).shares
    if start < end:
        wanted = paper_sizes(start, end, alpha, 3 * len(shares))
        assert shares * 3 == pytest.approx(wanted)
    else:
        assert shares == [start]


def test_three_phases_worked_by_hand():
    # 8 prompts: phases of 2, 4 and 8, each prompt at most once in a phase.
    curriculum = CyclicalCurriculum().start(even(8))
    for size, share in [(2, 0.25), (4, 0.5), (8, 1.0), (4, 0.5), (2, 0.25)]:
        picks = ids(curriculum.select(1)) + ids(curriculum.select(size - 1))
        assert len(set(picks)) == size
        assert curriculum.metrics()["share"] == share
        assert curriculum.metrics()["left_in_phase"] == 0


def test_a_phase_draws_in_proportion_to_ease():
    # One prompt a phase: shares of the draw are ease / sum of ease, with ease at least 0.1.
    difficulties = [0.0, 0.4, 0.7, 1.0]
    options = {"start_share": 0.25, "end_share": 0.25, "floor": 0.1}
    curriculum = CyclicalCurriculum(**options).start(pool(*difficulties), seed=1)
    draws = 8000
    drawn = Counter(ids([pick for _ in range(draws) for pick in curriculum.select(1)]))
    ease = np.array([1.0, 0.6, 0.3, 0.1])
    for i, share in enumerate(ease / ease.sum()):
        deviation = np.sqrt(share * (1 - share) / draws)
        assert drawn[f"p{i:02}"] / draws == pytest.approx(share, abs=4 * deviation)


def test_the_whole_pool_comes_in_random_order():
    # Without the shuffle, easy prompts would come first in a phase that has them all.
    places = np.zeros(10)
    for seed in range(200):
        curriculum = CyclicalCurriculum(start_share=1.0).start(even(10), seed)
        for place in range(10):
            places[int(ids(curriculum.select(1))[0][1:])] += place
    assert np.abs(places / 200 - 4.5).max() < 1.0


def test_a_prompt_of_two_phases_waits_for_the_next_batch():
    curriculum = CyclicalCurriculum(start_share=0.5).start(even(8))
    # Phases of 4 and 8: the first batch takes 4 and then 2 others, so that 6 are left.
    first = set(ids(curriculum.select(6)))
    assert len(first) == 6
    assert curriculum.metrics()["left_in_phase"] == 6
    assert len(set(ids(curriculum.select(6)))) == 6
