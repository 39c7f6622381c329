"""SPaRFT's bandit against worked numbers, a naive re-implementation and its closed form."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.curriculum import Outcome
from sparft_plugin.curriculum.sparft import SparftCurriculum
from sparft_plugin.errors import SparftError
from tests.unit.arm_data import group, picks_of, pool


def started(*sizes, seed=0, **options):
    return SparftCurriculum(**options).start(pool(*sizes), seed)


def teach(curriculum, solve_rates):
    """Observe one group of ten rollouts per (arm, solved of ten)."""
    for arm, solved in solve_rates:
        pick = picks_of(curriculum, arm)[0]
        curriculum.observe([group(pick, [1] * solved + [0] * (10 - solved))])


def drawn(curriculum, n):
    """How often each arm is drawn for n slots while all arms are open."""
    return Counter(curriculum.draw_arms(n, curriculum.passes.sizes > 0).tolist())


def test_the_prior_is_mean_zero_and_no_observations():
    curriculum = started(2, 3)
    assert curriculum.mean.tolist() == [0, 0]
    assert curriculum.count.tolist() == [0, 0]


def test_three_steps_worked_by_hand():
    curriculum = started(4, 4, 4)

    # Step 1: arm 0 has one group, 1 of 4 solved; arm 1 two groups, 4 of 4 and 2 of 4: 6 of 8.
    zero, one, other = picks_of(curriculum, 0, 1, 1)
    curriculum.observe(
        [group(one, [1, 1, 1, 1]), group(zero, [1, 0, 0, 0]), group(other, [1, 1, 0, 0])]
    )
    assert curriculum.mean == pytest.approx([1 / 4, 3 / 4, 0])
    assert curriculum.count.tolist() == [1, 1, 0]

    # Step 2: groups of different size weigh by rollouts: 0 of 6 and 2 of 2 are 2 of 8, not 1/2.
    # mu_0 = 1/4 + (1/4 - 1/4) / 2 = 1/4.
    first, second = picks_of(curriculum, 0, 0)
    curriculum.observe([group(first, [0] * 6), group(second, [1, 1])])
    assert curriculum.mean == pytest.approx([1 / 4, 3 / 4, 0])
    assert curriculum.count.tolist() == [2, 1, 0]

    # Step 3: arm 0 all solved: 1/4 + (1 - 1/4) / 3 = 1/2; arm 1 all failed: 3/4 - 3/8 = 3/8.
    zero, one = picks_of(curriculum, 0, 1)
    curriculum.observe([group(zero, [1, 1]), group(one, [0, 0])])
    assert curriculum.mean == pytest.approx([1 / 2, 3 / 8, 0])
    assert curriculum.count.tolist() == [3, 2, 0]

    metrics = curriculum.metrics()
    assert metrics["arm_0/posterior_mean"] == pytest.approx(1 / 2)
    assert metrics["arm_1/posterior_mean"] == pytest.approx(3 / 8)
    assert metrics["arm_2/posterior_mean"] == 0.0


def test_partial_credit_counts_as_it_is():
    curriculum = started(2)
    curriculum.observe([group(picks_of(curriculum, 0)[0], [0.25, 0.5])])
    assert curriculum.mean == pytest.approx([0.375])


def test_advantages_do_not_matter():
    one, other = started(3), started(3)
    pick = one.select(1)[0]
    other.select(1)
    one.observe([Outcome(pick, np.array([1.0, 0.0]), np.array([5.0, -5.0]))])
    other.observe([Outcome(pick, np.array([1.0, 0.0]), np.array([0.0, 0.0]))])
    assert one.state_dict() == other.state_dict()


@given(order=st.permutations(range(8)), seed=st.integers(0, 100))
def test_the_order_within_an_observation_does_not_matter(order, seed):
    def learned(order):
        curriculum = started(3, 3, seed=seed)
        picks = curriculum.select(8)
        rng = np.random.default_rng(seed)
        outcomes = [group(pick, rng.integers(0, 2, size=4)) for pick in picks]
        curriculum.observe([outcomes[i] for i in order])
        return curriculum.state_dict()

    assert learned(order) == learned(range(8))


@given(order=st.permutations(range(4)))
def test_the_order_of_observations_does_not_change_the_posterior(order):
    curriculum = started(5)
    picks = curriculum.select(4)
    for i in order:
        curriculum.observe([group(picks[i], [1] * i + [0] * (4 - i))])
    assert curriculum.mean == pytest.approx([3 / 8])
    assert curriculum.count.tolist() == [4]


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


def test_the_least_solved_arm_is_always_drawn_when_sigma_is_tiny():
    curriculum = started(3, 3, 3)
    teach(curriculum, [(0, 8), (1, 3), (2, 6)])
    curriculum.sigma = 1e-9
    assert set(drawn(curriculum, 50)) == {1}


def test_an_arm_never_observed_counts_as_never_solved():
    curriculum = started(3, 3)
    teach(curriculum, [(0, 1)])
    curriculum.sigma = 1e-9
    assert set(drawn(curriculum, 50)) == {1}


def test_arms_are_drawn_as_often_as_the_posterior_says():
    curriculum = started(5, 5, seed=3, sigma=0.8)
    teach(curriculum, [(0, 5), (0, 3), (0, 4), (1, 6), (1, 8), (1, 7), (1, 7)])
    draws = 4000
    arms = drawn(curriculum, draws)
    # theta_0 - theta_1 ~ Normal(0.7 - 0.4, 0.64 / 4 + 0.64 / 5)
    z = 0.3 / math.sqrt(0.64 / 4 + 0.64 / 5)
    expected = (1 + math.erf(z / math.sqrt(2))) / 2
    deviation = math.sqrt(expected * (1 - expected) / draws)
    assert arms[0] / draws == pytest.approx(expected, abs=4 * deviation)


def test_a_larger_sigma_explores_more():
    def share_of_the_easy_arm(sigma):
        curriculum = started(5, 5, sigma=sigma)
        teach(curriculum, [(0, 0), (1, 9)])
        return drawn(curriculum, 2000)[1] / 2000

    assert share_of_the_easy_arm(0.1) == 0
    assert 0 < share_of_the_easy_arm(0.5) < share_of_the_easy_arm(2.0) < 0.5


def test_an_arm_without_prompts_is_never_drawn():
    curriculum = started(0, 2, 0, 2)
    arms = Counter(pick.prompt.arm for pick in curriculum.select(500))
    assert set(arms) == {1, 3}
    assert curriculum.metrics()["arm_2/picks"] == 0.0


@given(seed=st.integers(0, 1000), sizes=st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_inside_an_arm_every_prompt_comes_once_before_any_comes_again(seed, sizes):
    curriculum = started(*sizes, seed=seed)
    picks = [pick for n in (1, 7, 3, 40) for pick in curriculum.select(n)]
    for arm, size in enumerate(sizes):
        ids = [pick.prompt.id for pick in picks if pick.prompt.arm == arm]
        for start in range(0, len(ids), size):
            one_pass = ids[start : start + size]
            assert len(set(one_pass)) == len(one_pass)


def test_passes_through_an_arm_differ_in_order():
    ids = [pick.prompt.id for pick in started(8).select(80)]
    passes = {tuple(ids[start : start + 8]) for start in range(0, 80, 8)}
    assert {frozenset(one) for one in passes} == {frozenset(f"0-{i}" for i in range(8))}
    assert len(passes) > 5


def test_a_draw_per_step_fills_each_batch_from_one_arm():
    curriculum = started(8, 8, 8, draw="step")
    arms = [{pick.prompt.arm for pick in curriculum.select(8)} for _ in range(30)]
    assert all(len(batch) == 1 for batch in arms)
    assert set().union(*arms) == {0, 1, 2}


def test_a_draw_per_slot_mixes_arms_in_a_batch():
    assert len({pick.prompt.arm for pick in started(3, 3, 3).select(8)}) > 1


@pytest.mark.parametrize("sigma", [0, -1.0, np.inf, np.nan])
def test_a_sigma_that_is_no_positive_number_is_refused(sigma):
    with pytest.raises(SparftError, match=r"sigma=.* must be a finite number above 0"):
        SparftCurriculum(sigma=sigma)


def test_an_unknown_way_to_draw_is_refused_with_the_known_ones():
    with pytest.raises(SparftError, match=r"draw='batch' must be one of slot, step"):
        SparftCurriculum(draw="batch")


@pytest.mark.parametrize("options", [{"sigma": -1.0}, {"draw": "batch"}])
def test_a_refused_option_is_named_as_the_user_writes_it(options):
    (option,) = options
    with pytest.raises(SparftError, match=rf"^sparft\.curriculum\.{option}="):
        SparftCurriculum(**options)


@pytest.mark.parametrize("sigma", ["wide", True])
def test_a_sigma_of_another_type_is_refused_by_name(sigma):
    with pytest.raises(SparftError, match="sigma"):
        SparftCurriculum(sigma=sigma)
