"""Learnability against worked numbers, a naive re-implementation and its closed forms."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta

from sparft_plugin.curriculum.learnability import (
    LearnabilityCurriculum,
    correlation,
    expected_mixed,
    mixed,
    within_spread,
)
from tests.unit.arm_data import pool
from tests.unit.prompt_data import group


def started(*sizes, seed=0, **options):
    return LearnabilityCurriculum(**options).start(pool(*sizes), seed)


def teach(curriculum, **groups):
    """Observe, in one call, a group (right, n) of each prompt named, such as a0_1=(3, 4)."""
    names = {name[1:].replace("_", "-"): group for name, group in groups.items()}
    found = {}
    while set(found) != set(names):
        found |= {pick.prompt.id: pick for pick in curriculum.select(1) if pick.prompt.id in names}
    curriculum.observe([group(pick, *names[name]) for name, pick in found.items()])


def test_the_prior_of_a_prompt_is_its_arm_and_counts_halve():
    curriculum = started(2, 1, discount=0.5, prior_strength=3.0)
    # s = 3 gives rho = 1 / (1 + s) = 1/4, so a group of 4 weighs 1 / (1 + 3/4) = 4/7 for its arm:
    # m_0 = (1 + 12/7) / (2 + 16/7) = 19/30, m_1 = 1 / (2 + 16/7) = 7/30.
    teach(curriculum, a0_0=(3, 4), a1_0=(0, 4))
    assert curriculum.arm_mean == pytest.approx([19 / 30, 7 / 30])
    # One observation later, given an arm mean of 1/2, prompt 0-0 has Beta(3/2 + 3/2, 3/2 + 1/2),
    # and prompt 1-0 Beta(3/2, 3/2 + 2).
    teach(curriculum, a0_1=(1, 2))
    right, wrong = curriculum._posterior(np.array([0, 2]), np.array([0.5, 0.5]))
    assert right == pytest.approx([3, 1.5])
    assert wrong == pytest.approx([2, 3.5])


class NaiveLearnability:
    """Counts in dictionaries, faded one by one at every observation."""

    def __init__(self, arm_of, discount):
        self.arm_of, self.discount = arm_of, discount
        self.prompts = {name: np.zeros(2) for name in arm_of}
        self.arms = {arm: np.zeros(2) for arm in arm_of.values()}
        self.within = self.whole = 0.0

    def rho(self):
        # The prior: 8 groups of an arm of mean 1/2, correlation 0.2.
        share = 1 - (self.within + 8 * 0.25 * 0.8) / (self.whole + 8 * 0.25)
        return min(0.98, max(0.02, share))

    def observe(self, groups):
        rho = self.rho()
        for counts in [*self.prompts.values(), *self.arms.values()]:
            counts *= self.discount
        self.within *= self.discount
        self.whole *= self.discount
        for name, right, n in groups:
            self.prompts[name] += right, n - right
            self.arms[self.arm_of[name]] += np.array([right, n - right]) / (1 + (n - 1) * rho)
        for name, right, n in groups:
            if n > 1:
                a, b = self.arms[self.arm_of[name]]
                mean = (1 + a) / (2 + a + b)
                self.within += right * (n - right) / (n * (n - 1))
                self.whole += mean * (1 - mean)


@given(
    sizes=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    discount=st.sampled_from([0.3, 0.9, 1.0]),
    seed=st.integers(0, 1000),
    batches=st.lists(st.integers(1, 8), min_size=1, max_size=8),
)
def test_counts_equal_a_naive_implementation(sizes, discount, seed, batches):
    curriculum = started(*sizes, seed=seed, discount=discount)
    naive = NaiveLearnability({p.id: p.arm for p in pool(*sizes)}, discount)
    rng = np.random.default_rng(seed)
    for n in batches:
        picks = curriculum.select(n)
        rollouts = [int(rng.integers(1, 6)) for _ in picks]
        right = [int(rng.integers(0, size + 1)) for size in rollouts]
        curriculum.observe([group(*told) for told in zip(picks, right, rollouts, strict=True)])
        ids = [pick.prompt.id for pick in picks]
        naive.observe(list(zip(ids, right, rollouts, strict=True)))
    assert curriculum.rho == pytest.approx(naive.rho())
    assert curriculum.arm_right == pytest.approx([naive.arms[a][0] for a in range(len(sizes))])
    assert curriculum.arm_wrong == pytest.approx([naive.arms[a][1] for a in range(len(sizes))])
    ids = [identity.decode() for identity in curriculum.pool.ids.tolist()]
    faded = discount ** (curriculum.when.max() - curriculum.when)
    expected = np.array([naive.prompts[name] for name in ids])
    assert faded * curriculum.right == pytest.approx(expected[:, 0], rel=1e-5)
    assert faded * curriculum.wrong == pytest.approx(expected[:, 1], rel=1e-5)


def test_the_utility_is_the_chance_of_a_mixed_group():
    rng = np.random.default_rng(0)
    for p, size in [(0.5, 2), (0.1, 8), (0.97, 16)]:
        right = rng.binomial(size, p, 200_000)
        counted = ((right > 0) & (right < size)).mean()
        assert mixed(np.array([p]), size)[0] == pytest.approx(counted, abs=0.005)
    assert mixed(np.array([0.0, 1.0]), 8).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("a", "b", "size"), [(1, 1, 2), (0.5, 0.2, 8), (3, 40, 16), (60, 1.5, 4), (1, 1, 64)]
)
def test_the_expected_utility_is_its_integral_over_the_posterior(a, b, size):
    posterior = beta(a, b)
    integral, _ = quad(lambda p: posterior.pdf(p) * mixed(p, size), 0, 1, limit=200)
    found = expected_mixed(np.array([a]), np.array([b]), size)
    assert found == pytest.approx([integral], abs=1e-6)


@pytest.mark.parametrize("rho", [0.1, 0.3, 0.8])
def test_the_spread_between_prompts_is_recovered_from_groups(rho):
    rng = np.random.default_rng(1)
    strength = 1 / rho - 1
    p = rng.beta(0.3 * strength, 0.7 * strength, 40_000)
    right = rng.binomial(8, p).astype(float)
    within = within_spread(right, 8 - right).sum()
    assert correlation(within, len(p) * 0.3 * 0.7) == pytest.approx(rho, abs=0.02)


def test_groups_of_one_say_nothing_of_the_spread():
    assert within_spread(np.array([1.0, 0.0]), np.array([0.0, 1.0])).tolist() == [0, 0]
    curriculum = started(2)
    before = curriculum.rho
    teach(curriculum, a0_0=(1, 1))
    assert curriculum.rho == before


def live(curriculum, rate, steps, n=8):
    """Picks over some steps, each prompt passing at a fixed rate."""
    rng, picked = np.random.default_rng(9), []
    for _ in range(steps):
        picks = curriculum.select(n)
        picked += [pick.prompt for pick in picks]
        curriculum.observe(
            [group(pick, int(rng.binomial(8, rate(pick.prompt))), 8) for pick in picks]
        )
    return picked


def test_arms_that_teach_nothing_get_their_floor_and_little_more():
    curriculum, rates = started(6, 6, 6, 6), [0, 1, 0.5, 0.3]
    picked = live(curriculum, lambda prompt: rates[prompt.arm], 140)[-800:]
    counts = Counter(prompt.arm for prompt in picked)
    for arm in (0, 1):
        assert 0.1 / 4 * 0.5 < counts[arm] / 800 < 0.15
    metrics = curriculum.metrics()
    assert metrics["arm_2/posterior_mean"] == pytest.approx(0.5, abs=0.1)
    assert metrics["arm_2/expected_utility"] > 0.9 > 0.5 > metrics["arm_0/expected_utility"]


def test_a_floor_of_one_draws_arms_evenly_whatever_they_teach():
    curriculum = started(40, 4, 400, floor=1.0)
    picked = Counter(pick.prompt.arm for _ in range(1500) for pick in curriculum.select(1))
    assert all(picked[arm] / 1500 == pytest.approx(1 / 3, abs=0.05) for arm in range(3))


def test_prompts_of_one_arm_are_told_apart():
    teachable = {f"0-{i}" for i in range(4)}
    picked = live(started(12), lambda prompt: 0.5 if prompt.id in teachable else 1, 60, n=4)
    assert np.mean([prompt.id in teachable for prompt in picked[-120:]]) > 0.6


def test_the_group_size_is_the_median_of_the_last_groups_unless_it_is_given():
    curriculum, given = started(3), started(3, group_size=4)
    assert (curriculum.group, given.group) == (8, 4)
    for one in (curriculum, given):
        teach(one, a0_0=(1, 5), a0_1=(2, 16), a0_2=(1, 16))
    assert (curriculum.group, given.group) == (16, 4)
    teach(curriculum, a0_0=(1, 1))
    assert curriculum.group == 2


def test_counts_that_outlive_a_clock_that_ran_back_do_not_grow():
    # Prompts that moved to other arms: counts by prompt are kept, and fade from the latest of them.
    old = started(3, 3)
    teach(old, a0_0=(4, 8), a1_2=(8, 8))
    moved = [prompt._replace(arm=1 - prompt.arm) for prompt in pool(3, 3)]
    fresh = LearnabilityCurriculum().start(moved)
    fresh.load_state_dict(old.state_dict())
    right, wrong = fresh._posterior(np.arange(6), np.full(2, 0.5))
    assert (right + wrong).max() == pytest.approx(1 / fresh.rho - 1 + 8)
