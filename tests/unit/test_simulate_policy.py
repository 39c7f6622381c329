"""The simulator's policy: its gradient, its pools, and what choosing prompts is worth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from sparft_plugin.curriculum import PromptCurriculum
from sparft_plugin.curriculum.uniform import UniformCurriculum
from sparft_plugin.errors import SparftError
from sparft_plugin.simulate import SCENARIOS, Policy, rank, simulate
from sparft_plugin.simulate.run import advantages

LATE = SCENARIOS["policy_late"]


@dataclass(eq=False)
class Oracle(PromptCurriculum):
    """Draw in proportion to the true chance of a mixed group."""

    world: Any = None

    def score_prompts(self, positions):
        p = self.world.pass_rates(positions)
        return np.log(np.maximum(1 - p**8 - (1 - p) ** 8, 1e-12)) + self.rng.gumbel(size=len(p))

    def update_prompts(self, groups):
        pass


def test_the_gradient_is_that_of_finite_differences():
    policy, rng = Policy(LATE), np.random.default_rng(0)
    positions = rng.integers(600, size=12)
    accuracies = rng.integers(2, size=(12, 8)).astype(float)
    doses = advantages(accuracies)

    def objective():
        p = policy.pass_rates(positions)[:, None]
        return (doses * np.log(np.where(accuracies == 1, p, 1 - p))).mean()

    for weights, slopes in zip(policy.weights, policy.gradient(positions, accuracies), strict=True):
        direction = rng.normal(size=weights.shape)
        start = weights.copy()
        weights[...] = start + 1e-5 * direction
        above = objective()
        weights[...] = start - 1e-5 * direction
        below = objective()
        weights[...] = start
        assert (slopes * direction).sum() == pytest.approx((above - below) / 2e-5, rel=1e-4)


def test_skills_begin_at_their_shares_and_broken_ones_at_nearly_0():
    policy = Policy(LATE)
    rates = np.bincount(policy.pool.arms, policy.pass_rates(np.arange(600)))
    rates /= np.bincount(policy.pool.arms)
    assert rates[:8] == pytest.approx(np.linspace(0.08, 0.4, 8), abs=0.1)
    assert rates[8:14].min() > 0.9
    assert rates[14:].max() < 0.05
    assert policy.learned.tolist() == [True] * 8 + [False] * 12
    assert np.bincount(policy.pool.arms)[8:14].sum() == 270


def test_where_most_groups_teach_nothing_the_oracle_beats_uniform_and_a_seed_repeats():
    def area(oracle):
        world = Policy(LATE, 1)
        method = Oracle(world=world) if oracle else UniformCurriculum()
        return simulate(method.start(world.pool, 1), world, LATE, 1).pass_rates.mean()

    assert area(oracle=True) > area(oracle=False) + 0.03
    assert area(oracle=False) == area(oracle=False)


def test_arms_of_a_blind_pool_say_nothing_of_its_prompts():
    seeing, blind = (Policy(SCENARIOS[f"policy_{name}"]) for name in ("late", "blind"))
    everyone = np.arange(600)
    assert np.array_equal(seeing.pass_rates(everyone), blind.pass_rates(everyone))
    spreads = []
    for policy in (seeing, blind):
        sizes = np.bincount(policy.pool.arms)
        spreads.append((np.bincount(policy.pool.arms, policy.pass_rates(everyone)) / sizes).std())
    assert spreads[1] < spreads[0] / 3


def test_methods_are_ranked_by_their_area_above_uniform(monkeypatch):
    monkeypatch.setitem(SCENARIOS, "short", replace(LATE, steps=5))
    areas = rank("short", ["sec", "uniform", "sparft:sigma=2"], 1)
    assert set(areas) == {"sec", "uniform", "sparft:sigma=2"}
    assert areas["uniform"] == 0
    assert list(areas.values()) == sorted(areas.values(), reverse=True)
    assert areas == rank("short", ["sparft:sigma=2", "sec", "uniform"], 1)
    with pytest.raises(SparftError, match="unknown scenario 'shorter'; did you mean 'short'"):
        rank("shorter", ["sec"], 1)
