"""SPaRFT's bandit against worked numbers, a naive re-implementation and a million draws."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.curriculum import Prompt
from sparft_plugin.curriculum.sparft import SparftCurriculum, chance_of_best, normal_below
from tests.budget import COSTLY
from tests.unit.arm_data import group, picks_of, pool


def started(*sizes, seed=0, **options):
    return SparftCurriculum(**options).start(pool(*sizes), seed)


def test_partial_credit_counts_as_it_is():
    curriculum = started(2)
    curriculum.observe([group(picks_of(curriculum, 0)[0], [0.25, 0.5])])
    assert curriculum.metrics()["arm_0/posterior_mean"] == pytest.approx(0.375)


@given(
    sigma=st.sampled_from([0.05, 0.5, 1.0, 3.0]),
    seed=st.integers(0, 2**32),
    batches=st.lists(st.integers(1, 6), min_size=1, max_size=8),
    closed=st.sampled_from([set(), {0}, {1, 2}]),
)
def test_arms_equal_a_naive_implementation_on_the_same_random_numbers(sigma, seed, batches, closed):
    curriculum = started(4, 4, 4, seed=seed, sigma=sigma)
    chance, rates = np.random.default_rng(seed + 1), {0: [], 1: [], 2: []}
    for n in batches:
        rng = copy.deepcopy(curriculum.rng)
        expected = []
        for _ in range(n):
            theta = {}
            for arm, past in rates.items():
                mu = sum(past) / len(past) if past else 0.0
                deviation = math.sqrt(sigma**2 / (len(past) + 1))
                theta[arm] = -mu + deviation * rng.standard_normal()
            expected.append(max(set(theta) - closed, key=theta.__getitem__))
        opened = np.array([arm not in closed for arm in rates])
        assert curriculum.draw_arms(n, opened).tolist() == expected
        outcomes = [group(p, chance.integers(0, 2, size=4)) for p in curriculum.select(n)]
        curriculum.observe(outcomes)
        for arm in {o.pick.prompt.arm for o in outcomes}:
            told = [o.accuracies for o in outcomes if o.pick.prompt.arm == arm]
            rates[arm].append(np.concatenate(told).mean())
    assert curriculum.count.tolist() == [len(past) for past in rates.values()]


@given(st.lists(st.floats(-6, 12), min_size=1, max_size=50))
def test_the_tabulated_normal_distribution_is_that_of_erf(z):
    exact = [(1 + math.erf(value / math.sqrt(2))) / 2 for value in z]
    found = normal_below(np.array(z))
    assert found == pytest.approx(exact, abs=2e-7)
    assert (found > 0).all()


def test_equal_arms_share_alike():
    assert chance_of_best(np.zeros(1000), np.ones(1000)) == pytest.approx(np.full(1000, 0.001))


@COSTLY
@given(st.integers(2, 12), st.integers(0, 10**6))
def test_it_equals_the_frequency_of_many_draws(arms, seed):
    rng = np.random.default_rng(seed)
    means = rng.uniform(-1, 0, size=arms)
    deviations = 1 / np.sqrt(rng.integers(1, 5000, size=arms))
    draws = means + deviations * rng.standard_normal((200_000, arms))
    frequency = np.bincount(draws.argmax(axis=1), minlength=arms) / 200_000
    noise = 5 * np.sqrt(frequency * (1 - frequency) / 200_000 + 1e-7)
    assert (np.abs(chance_of_best(means, deviations) - frequency) < noise + 0.002).all()


def test_a_narrow_posterior_between_two_points_of_the_grid_is_not_missed():
    means, deviations = np.array([-0.5, -0.5]), np.array([1.0, 1e-6])
    assert chance_of_best(means, deviations) == pytest.approx([0.5, 0.5], abs=0.02)


def test_many_draws_at_once_follow_the_same_chances():
    curriculum = SparftCurriculum().start([Prompt(str(i), i) for i in range(200)])
    curriculum.mean[:] = np.linspace(0, 1, 200)
    curriculum.count[:] = 50
    every = np.ones(200, dtype=bool)
    many = np.bincount(curriculum.draw_arms(20_000, every), minlength=200)
    few = np.concatenate([curriculum.draw_arms(100, every) for _ in range(200)])
    few = np.bincount(few, minlength=200)
    top = few > 200
    spread = np.sqrt(few[top] + many[top])
    assert top.sum() > 3
    assert (np.abs(few[top] - many[top]) < 5 * spread + 40).all()
