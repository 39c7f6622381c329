"""The chance of being best against a million draws, and where it is known exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.curriculum import Prompt
from sparft_plugin.curriculum.sparft import SparftCurriculum, chance_of_best, normal_below
from tests.budget import COSTLY


def test_two_arms_follow_the_normal_distribution_of_their_difference():
    means, deviations = np.array([0.3, 0.1]), np.array([0.5, 1.2])
    z = 0.2 / math.hypot(0.5, 1.2)
    expected = (1 + math.erf(z / math.sqrt(2))) / 2
    assert chance_of_best(means, deviations)[0] == pytest.approx(expected, abs=0.002)


@given(st.lists(st.floats(-6, 12), min_size=1, max_size=50))
def test_the_tabulated_normal_distribution_is_that_of_erf(z):
    exact = [(1 + math.erf(value / math.sqrt(2))) / 2 for value in z]
    found = normal_below(np.array(z))
    assert found == pytest.approx(exact, abs=2e-7)
    assert (found > 0).all()


def test_equal_arms_share_alike():
    assert chance_of_best(np.zeros(1000), np.ones(1000)) == pytest.approx(np.full(1000, 0.001))


def test_one_arm_always_wins():
    assert chance_of_best(np.array([3.0]), np.array([0.1])).tolist() == [1.0]


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
