"""SPaRFT's bandit against worked numbers, a naive re-implementation and a million draws."""

from __future__ import annotations

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
    assert curriculum.mean == pytest.approx([0.375])
    assert curriculum.metrics()["arm_0/posterior_mean"] == pytest.approx(0.375)


class NaiveSparft:
    """The two rules of SPaRFT in plain lists, drawing numbers one at a time."""

    def __init__(self, prompts, seed, sigma, draw):
        self.rng, self.sigma, self.draw = np.random.default_rng(seed), sigma, draw
        self.members = {}
        for prompt in sorted(prompts, key=lambda prompt: prompt.id):
            self.members.setdefault(prompt.arm, []).append(prompt.id)
        self.unused = {arm: [] for arm in self.members}
        self.size = len(prompts)
        self.rates = {arm: [] for arm in range(max(self.members) + 1)}

    def arm(self, closed):
        best = None
        for arm, rates in self.rates.items():
            mu = sum(rates) / len(rates) if rates else 0.0
            deviation = math.sqrt(self.sigma**2 / (len(rates) + 1))
            theta = -mu + deviation * self.rng.standard_normal()
            if arm not in closed and (best is None or theta > best[0]):
                best = (theta, arm)
        return best[1]

    def arms_of(self, n):
        """One draw a slot, or a whole batch; an arm that has no prompt left is skipped."""
        room = {arm: len(ids) * math.ceil(n / self.size) for arm, ids in self.members.items()}
        arms = []
        while len(arms) < n:
            wanted = n - len(arms)
            closed = [arm for arm in self.rates if not room.get(arm)]
            if self.draw == "step":
                arm = self.arm(closed)
                drawn = [arm] * min(wanted, room[arm])
            else:
                drawn = [self.arm(closed) for _ in range(wanted)]
            for arm in drawn:
                if room[arm]:
                    room[arm] -= 1
                    arms.append(arm)
        return arms

    def batch(self, n):
        chosen, rounds = [], {arm: set() for arm in self.members}
        for arm in self.arms_of(n):
            # A round of an arm ends when every prompt of it came.
            if len(rounds[arm]) == len(self.members[arm]):
                rounds[arm] = set()
            this_round = rounds[arm]
            if not self.unused[arm]:
                order = self.rng.permutation(len(self.members[arm]))
                self.unused[arm] = [self.members[arm][i] for i in order]
            fresh = [name for name in self.unused[arm] if name not in this_round]
            pick = (fresh or self.unused[arm])[-1]
            at = self.unused[arm].index(pick)
            self.unused[arm][at] = self.unused[arm][-1]
            self.unused[arm].pop()
            this_round.add(pick)
            chosen.append((pick, arm))
        return chosen

    def observe(self, groups):
        for arm in {arm for arm, _ in groups}:
            rollouts = [a for other, accuracies in groups if other == arm for a in accuracies]
            self.rates[arm].append(sum(rollouts) / len(rollouts))


@given(
    sizes=st.lists(st.integers(0, 4), min_size=1, max_size=5).filter(any),
    sigma=st.sampled_from([0.05, 0.5, 1.0, 3.0]),
    draw=st.sampled_from(["slot", "step"]),
    seed=st.integers(0, 2**32),
    batches=st.lists(st.integers(1, 6), min_size=1, max_size=8),
)
def test_picks_equal_a_naive_implementation_on_the_same_random_numbers(
    sizes, sigma, draw, seed, batches
):
    curriculum = started(*sizes, seed=seed, sigma=sigma, draw=draw)
    naive = NaiveSparft(pool(*sizes), seed, sigma, draw)
    accuracies = np.random.default_rng(seed + 1)
    for n in batches:
        picks = curriculum.select(n)
        assert [(pick.prompt.id, pick.prompt.arm) for pick in picks] == naive.batch(n)
        outcomes = [group(pick, accuracies.integers(0, 2, size=4)) for pick in picks]
        curriculum.observe(outcomes)
        naive.observe([(o.pick.prompt.arm, o.accuracies.tolist()) for o in outcomes])


def test_a_draw_per_step_fills_each_batch_from_one_arm():
    curriculum = started(8, 8, 8, draw="step")
    arms = [{pick.prompt.arm for pick in curriculum.select(8)} for _ in range(30)]
    assert all(len(batch) == 1 for batch in arms)
    assert set().union(*arms) == {0, 1, 2}


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
