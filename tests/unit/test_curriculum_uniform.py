"""Uniform: shuffled passes over the whole pool, whatever the groups say."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.curriculum import Prompt
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
