"""The bookkeeping that every curriculum inherits: pool, picks, outcomes and state."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from sparft_plugin.curriculum import (
    Curriculum,
    Outcome,
    Pick,
    Prompt,
    PromptPool,
    per_arm,
    per_prompt,
    per_run,
)
from sparft_plugin.curriculum.adarft import AdarftCurriculum
from sparft_plugin.curriculum.pcl import PclCurriculum
from sparft_plugin.errors import SparftError


@dataclass(eq=False)
class InOrder(Curriculum):
    """Hand out the pool in order and note down what was learned; the smallest curriculum."""

    learned: list[list[int]] = field(init=False, repr=False, default_factory=list)
    groups: int = per_run(0)
    when: np.ndarray = per_prompt(-1, np.int64)
    rates: np.ndarray = per_arm(np.nan)

    def begin(self):
        self.learned = []

    def choose(self, n):
        return np.arange(self.next_pick_id, self.next_pick_id + n) % len(self.pool)

    def learn(self, groups):
        self.learned.append([outcome.pick.pick_id for outcome in groups.outcomes])
        self.groups += len(groups)
        self.when[groups.prompts] = self.groups
        arms, rates = groups.mean_by_arm(groups.pass_rates)
        self.rates[arms] = rates


def started(n=5):
    return InOrder().start([Prompt(f"p{i}", arm=i % 2) for i in range(n)])


def outcome(pick, accuracies=(0.0, 1.0), advantages=(-0.5, 0.5)):
    return Outcome(pick, np.array(accuracies), np.array(advantages))


def test_the_pool_is_sorted_by_id():
    curriculum = InOrder().start([Prompt("c"), Prompt("a"), Prompt("b")])
    assert curriculum.pool.ids.astype(str).tolist() == ["a", "b", "c"]


def test_what_was_selected_is_outstanding_until_it_is_observed_or_expires():
    curriculum = started()
    first, second, third, _ = curriculum.select(4)
    curriculum.observe([outcome(second)])
    # Each is counted once, and unknown ones are ignored.
    curriculum.expire([2, 2, 3])
    curriculum.expire([3, 1, 99])
    assert [curriculum.pick(k) for k in curriculum.outstanding] == [first]
    assert curriculum.metrics()["expired"] == 2.0


def test_an_observation_is_learned_from_in_the_order_of_its_picks():
    curriculum = started()
    picks = curriculum.select(4)
    curriculum.observe([outcome(picks[i]) for i in (2, 0, 3)])
    curriculum.observe(iter([outcome(picks[1])]))
    assert curriculum.learned == [[0, 2, 3], [1]]


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


def test_a_state_of_another_version_is_refused_with_both_versions():
    curriculum = started()
    with pytest.raises(SparftError, match="has version 9, this package reads 2"):
        curriculum.load_state_dict(curriculum.state_dict() | {"version": 9})


NAN, INF = float("nan"), float("inf")
P0 = Prompt("p0", 0)


@pytest.mark.parametrize(
    ("accuracies", "advantages", "sentence"),
    [
        ([0.0, 1.5], [0, 0], "p0 has an accuracy outside [0, 1]: [0.0, 1.5]; return 'acc' between"),
        ([-0.1], [0], "has an accuracy outside [0, 1]: [-0.1];"),
        ([NAN, 1.0], [0, 0], "has an accuracy outside [0, 1]: [nan, 1.0];"),
        ([0.0, 1.0], [NAN, 0.5], "p0 has a NaN or infinite advantage; check its rewards."),
        ([0.0, 1.0], [-INF, 0.5], "has a NaN or infinite advantage"),
        ([], [], "prompt p0 has no rollouts; expire the pick instead of observing it."),
        ([0.0, 1.0], [0.5], "has 2 accuracies but 1 advantages; give one of each per rollout."),
    ],
)
def test_a_bad_group_is_refused_in_a_sentence(accuracies, advantages, sentence):
    with pytest.raises(SparftError) as refused:
        outcome(Pick(0, P0), accuracies, advantages)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("strange", "sentence"),
    [
        ([Pick(99, P0)], "pick 99 is not outstanding; observe each selected pick once, before it"),
        ([Pick(-1, P0)], "pick -1 is not outstanding"),
        ([Pick(0, P0), Pick(0, P0)], "pick 0 is observed twice in one call; give it once."),
        ([Pick(0, Prompt("x", 0))], "pick 0 was made of another prompt than x; observe the pick"),
    ],
)
def test_a_wrong_pick_is_refused_in_a_sentence_and_those_with_it_are_still_waited_for(
    strange, sentence
):
    curriculum = started()
    first, second = curriculum.select(2)
    with pytest.raises(SparftError, match=sentence):
        curriculum.observe([outcome(second), *map(outcome, strange)])
    curriculum.observe([])
    assert curriculum.learned == []
    curriculum.observe([outcome(first), outcome(second)])
    assert curriculum.ledger.observed == 2


@pytest.mark.parametrize(
    ("curriculum", "prompts", "sentence"),
    [
        (InOrder(), [], "no prompts; check data.train_files"),
        (InOrder(), [Prompt("a", 0), Prompt("b", 1), Prompt("a", 1)], "same prompt id twice"),
        (InOrder(), [Prompt("a", -1)], "negative arm; number arms from 0"),
        (AdarftCurriculum(), [Prompt("a", 0, 0.5), Prompt("b", 0)], "Adarft.* needs a difficulty"),
        (PclCurriculum(), [Prompt("a", 0, 0.5)], "PclCurriculum needs the embeddings"),
    ],
)
def test_a_pool_that_a_curriculum_cannot_use_is_refused(curriculum, prompts, sentence):
    with pytest.raises(SparftError, match=sentence):
        curriculum.start(prompts)


def test_declared_fields_start_anew_and_are_saved_by_arm_by_prompt_and_by_run():
    curriculum = started()
    curriculum.observe([outcome(pick) for pick in curriculum.select(2)])
    state = curriculum.state_dict()
    assert state["by_arm"] == {"rates": [0.5, 0.5]}
    assert state["by_prompt"] == {"when": [2, 2, -1, -1, -1]}
    assert state["rule"]["groups"] == 2
    curriculum.start(PromptPool.of([Prompt("p1", 1), Prompt("p9", 0)]))
    assert (curriculum.groups, curriculum.when.tolist()) == (0, [-1, -1])
    curriculum.load_state_dict(state)
    assert (curriculum.groups, curriculum.when.tolist()) == (2, [2, -1])
    moved = InOrder().start([Prompt("p0", 1), Prompt("p1", 0)])
    moved.load_state_dict(state)
    assert (moved.groups, moved.when.tolist()) == (0, [2, 2])
    assert np.isnan(moved.rates).all()
