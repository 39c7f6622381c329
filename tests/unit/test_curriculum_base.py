"""The bookkeeping that every curriculum inherits: pool, picks, outcomes and state."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.curriculum import Curriculum, Outcome, Pick, Prompt
from sparft_plugin.errors import SparftError


@dataclass
class InOrder(Curriculum):
    """Hand out the pool in order and note down what was learned; the smallest curriculum."""

    learned: list[list[int]] = field(init=False, repr=False, default_factory=list)

    def begin(self):
        self.learned = []

    def choose(self, n):
        return np.arange(self.next_pick_id, self.next_pick_id + n) % len(self.pool)

    def learn(self, groups):
        self.learned.append([outcome.pick.pick_id for outcome in groups.outcomes])

    def rule_state(self):
        return {"learned": copy.deepcopy(self.learned)}

    def load_rule_state(self, state, remap):
        self.learned = copy.deepcopy(state["learned"])


def pool(n=5):
    return [Prompt(f"p{i}", arm=i % 2) for i in range(n)]


def started(n=5):
    return InOrder().start(pool(n))


def outcome(pick, accuracies=(0.0, 1.0)):
    accuracies = np.array(accuracies, dtype=np.float64)
    return Outcome(pick, accuracies, accuracies - accuracies.mean())


def test_an_empty_pool_is_refused():
    with pytest.raises(SparftError, match="no prompts; check data.train_files"):
        InOrder().start([])


def test_a_prompt_id_that_comes_twice_is_refused():
    with pytest.raises(SparftError, match="same prompt id twice"):
        InOrder().start([Prompt("a", 0), Prompt("b", 1), Prompt("a", 1)])


def test_the_pool_is_sorted_by_id():
    curriculum = InOrder().start([Prompt("c"), Prompt("a"), Prompt("b")])
    assert curriculum.pool.ids.astype(str).tolist() == ["a", "b", "c"]


def test_the_number_of_arms_reaches_to_the_highest_arm():
    assert InOrder().start([Prompt("a", 0), Prompt("b", 3)]).n_arms == 4


@pytest.mark.parametrize("n", [0, -1])
def test_fewer_than_one_pick_is_refused(n):
    with pytest.raises(SparftError, match=f"cannot select {n} prompts"):
        started().select(n)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_pick_ids_count_up_from_zero_over_batches_of_any_size(sizes):
    curriculum = started()
    batches = [curriculum.select(n) for n in sizes]
    assert [len(batch) for batch in batches] == sizes
    ids = [pick.pick_id for batch in batches for pick in batch]
    assert ids == list(range(sum(sizes)))


def test_ids_of_expired_and_observed_picks_are_not_used_again():
    curriculum = started()
    first, second = curriculum.select(2)
    curriculum.observe([outcome(first)])
    curriculum.expire([second.pick_id])
    assert [pick.pick_id for pick in curriculum.select(2)] == [2, 3]


def test_what_was_selected_is_outstanding_until_it_is_observed_or_expires():
    curriculum = started()
    first, second, third = curriculum.select(3)
    assert [curriculum.pick(k) for k in curriculum.outstanding] == [first, second, third]
    curriculum.observe([outcome(second)])
    curriculum.expire([third.pick_id])
    assert [curriculum.pick(k) for k in curriculum.outstanding] == [first]


def test_an_observation_is_learned_from_in_the_order_of_its_picks():
    curriculum = started()
    picks = curriculum.select(4)
    curriculum.observe([outcome(picks[i]) for i in (2, 0, 3)])
    curriculum.observe(iter([outcome(picks[1])]))
    assert curriculum.learned == [[0, 2, 3], [1]]


def test_an_observation_of_nothing_teaches_nothing():
    curriculum = started()
    curriculum.observe([])
    assert curriculum.learned == []


def refused(curriculum, outcomes, pick_id):
    """Observe and expect a refusal that names the pick and leaves no trace."""
    before = curriculum.state_dict()
    with pytest.raises(SparftError, match=f"pick {pick_id} is not outstanding; observe each"):
        curriculum.observe(outcomes)
    assert curriculum.state_dict() == before


def test_a_pick_that_was_never_made_is_refused_and_nothing_is_learned():
    curriculum = started()
    known = curriculum.select(1)[0]
    refused(curriculum, [outcome(known), outcome(Pick(7, known.prompt))], 7)


def test_a_pick_observed_before_is_refused_and_nothing_is_learned():
    curriculum = started()
    first, second = curriculum.select(2)
    curriculum.observe([outcome(first)])
    refused(curriculum, [outcome(second), outcome(first)], 0)


def test_a_pick_that_comes_twice_in_one_observation_is_refused_and_nothing_is_learned():
    curriculum = started()
    first, second = curriculum.select(2)
    before = curriculum.state_dict()
    with pytest.raises(SparftError, match="pick 1 is observed twice in one call; give it once"):
        curriculum.observe([outcome(first), outcome(second), outcome(second)])
    assert curriculum.state_dict() == before


def test_an_expired_pick_is_refused_and_nothing_is_learned():
    curriculum = started()
    first, second = curriculum.select(2)
    curriculum.expire([first.pick_id])
    refused(curriculum, [outcome(second), outcome(first)], 0)


def test_a_pick_of_another_prompt_under_a_known_id_is_refused_and_nothing_is_learned():
    curriculum = started()
    curriculum.select(1)
    before = curriculum.state_dict()
    with pytest.raises(SparftError, match="pick 0"):
        curriculum.observe([outcome(Pick(0, Prompt("stranger", arm=9)))])
    assert curriculum.state_dict() == before


def test_expired_picks_are_counted_once_and_unknown_ones_are_ignored():
    curriculum = started()
    third = curriculum.select(3)[2]
    curriculum.observe([outcome(third)])
    curriculum.expire([0, 0, 1])
    curriculum.expire([1, 2, 99])
    assert curriculum.metrics()["expired"] == 2.0


def test_metrics_count_picks_by_arm_and_unique_prompts():
    curriculum = started(3)
    curriculum.select(4)
    assert curriculum.metrics() == {
        "unique_prompts": 3.0,
        "picks": 4.0,
        "observed": 0.0,
        "expired": 0.0,
        "outstanding": 4.0,
        "arm_0/picks": 3.0,
        "arm_1/picks": 1.0,
    }


def test_starting_again_does_not_change_earlier_picks():
    curriculum = started()
    picks = curriculum.select(2)
    InOrder().start(pool(2)).select(2)
    assert picks == [Pick(0, Prompt("p0", 0)), Pick(1, Prompt("p1", 1))]


@pytest.mark.parametrize("bad", [-0.1, 1.1, np.nan, np.inf])
def test_an_accuracy_outside_zero_to_one_is_refused_with_the_prompt_and_the_values(bad):
    with pytest.raises(SparftError, match=r"prompt p0 has an accuracy outside \[0, 1\]: \[1.0, "):
        Outcome(Pick(0, Prompt("p0")), np.array([1.0, bad]), np.zeros(2))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_advantage_that_is_not_finite_is_refused_with_the_prompt(bad):
    with pytest.raises(SparftError, match="prompt p0 has a NaN or infinite advantage"):
        Outcome(Pick(0, Prompt("p0")), np.zeros(2), np.array([0.0, bad]))


def test_a_group_without_rollouts_is_refused_with_the_way_out():
    with pytest.raises(SparftError, match="prompt p0 has no rollouts; expire the pick"):
        Outcome(Pick(0, Prompt("p0")), np.array([]), np.array([]))


def test_a_group_with_more_accuracies_than_advantages_is_refused():
    with pytest.raises(SparftError, match="has 3 accuracies but 2 advantages"):
        Outcome(Pick(0, Prompt("p0")), np.zeros(3), np.zeros(2))


@pytest.mark.parametrize(
    ("accuracies", "pass_rate"), [([0, 0, 0], 0.0), ([1], 1.0), ([1, 0, 0, 0], 0.25)]
)
def test_a_pass_rate_is_the_mean_accuracy(accuracies, pass_rate):
    group = outcome(Pick(0, Prompt("p0")), accuracies)
    assert group.pass_rate == pytest.approx(pass_rate)


def test_a_state_is_a_snapshot_that_later_steps_leave_alone():
    curriculum = started()
    first, _ = curriculum.select(2)
    state = curriculum.state_dict()
    kept = copy.deepcopy(state)
    curriculum.observe([outcome(first)])
    curriculum.rng.random()
    curriculum.select(3)
    assert state == kept


def test_a_state_of_another_version_is_refused_with_both_versions():
    curriculum = started()
    with pytest.raises(SparftError, match="has version 9, this package reads 2"):
        curriculum.load_state_dict(curriculum.state_dict() | {"version": 9})
