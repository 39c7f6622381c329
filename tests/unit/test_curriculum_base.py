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


def pool(n=5):
    return [Prompt(f"p{i}", arm=i % 2) for i in range(n)]


def started(n=5):
    return InOrder().start(pool(n))


def outcome(pick, accuracies=(0.0, 1.0)):
    accuracies = np.array(accuracies, dtype=np.float64)
    return Outcome(pick, accuracies, accuracies - accuracies.mean())


def test_the_pool_is_sorted_by_id():
    curriculum = InOrder().start([Prompt("c"), Prompt("a"), Prompt("b")])
    assert curriculum.pool.ids.astype(str).tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("n", [0, -1])
def test_fewer_than_one_pick_is_refused(n):
    with pytest.raises(SparftError, match=f"cannot select {n} prompts"):
        started().select(n)


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


@pytest.mark.parametrize(
    ("accuracies", "pass_rate"), [([0, 0, 0], 0.0), ([1], 1.0), ([1, 0, 0, 0], 0.25)]
)
def test_a_pass_rate_is_the_mean_accuracy(accuracies, pass_rate):
    group = outcome(Pick(0, Prompt("p0")), accuracies)
    assert group.pass_rate == pytest.approx(pass_rate)


def test_a_state_of_another_version_is_refused_with_both_versions():
    curriculum = started()
    with pytest.raises(SparftError, match="has version 9, this package reads 2"):
        curriculum.load_state_dict(curriculum.state_dict() | {"version": 9})


def group(pick, accuracies, advantages=None):
    zeros = [0.0] * len(accuracies)
    given = zeros if advantages is None else advantages
    return Outcome(pick, np.array(accuracies), np.array(given))


NAN, INF = float("nan"), float("inf")
# What is told, given three picks: 0 is out, 1 was observed before, 2 has expired.
REFUSED = {
    "pick 99 is not outstanding; observe each selected pick once, before it expires.": (
        lambda first, seen, gone: [outcome(first), outcome(Pick(99, first.prompt))]
    ),
    "pick -1 is not outstanding": lambda first, seen, gone: [outcome(Pick(-1, first.prompt))],
    "pick 1 is not outstanding": lambda first, seen, gone: [outcome(first), outcome(seen)],
    "pick 0 is observed twice in one call; give it once.": (
        lambda first, seen, gone: [outcome(first), outcome(first)]
    ),
    "pick 2 is not outstanding": lambda first, seen, gone: [outcome(first), outcome(gone)],
    "pick 0 was made of another prompt than x; observe the pick that select returned.": (
        lambda first, seen, gone: [outcome(Pick(0, Prompt("x", 0)))]
    ),
    "prompt p0 has an accuracy outside [0, 1]: [0.0, 1.5]; return 'acc' between 0 and 1": (
        lambda first, seen, gone: [group(first, [0.0, 1.5])]
    ),
    "has an accuracy outside [0, 1]: [-0.1];": lambda first, seen, gone: [group(first, [-0.1])],
    "has an accuracy outside [0, 1]: [nan, 1.0];": (
        lambda first, seen, gone: [group(first, [NAN, 1.0])]
    ),
    "prompt p0 has a NaN or infinite advantage; check its rewards.": (
        lambda first, seen, gone: [group(first, [0.0, 1.0], [NAN, 0.5])]
    ),
    "has a NaN or infinite advantage": (
        lambda first, seen, gone: [group(first, [0.0, 1.0], [-INF, 0.5])]
    ),
    "prompt p0 has no rollouts; expire the pick instead of observing it.": (
        lambda first, seen, gone: [group(first, [])]
    ),
    "has 2 accuracies but 1 advantages; give one of each per rollout.": (
        lambda first, seen, gone: [group(first, [0.0, 1.0], [0.5])]
    ),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_a_bad_group_is_refused_in_a_sentence_and_nothing_is_learned(sentence):
    curriculum = started()
    first, seen, gone = curriculum.select(3)
    curriculum.observe([outcome(seen)])
    curriculum.expire([gone.pick_id])
    before = curriculum.state_dict()
    with pytest.raises(SparftError) as refused:
        curriculum.observe(REFUSED[sentence](first, seen, gone))
    assert sentence in str(refused.value)
    curriculum.observe([])
    assert curriculum.state_dict() == before
    # The pick that came with it is still waited for.
    curriculum.observe([outcome(first)])
    assert (curriculum.ledger.observed, curriculum.ledger.expired, curriculum.outstanding) == (
        2,
        1,
        {},
    )


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
    curriculum.start(PromptPool.of([*pool(2)[1:], Prompt("p9", 0)]))
    assert (curriculum.groups, curriculum.when.tolist()) == (0, [-1, -1])
    curriculum.load_state_dict(state)
    assert (curriculum.groups, curriculum.when.tolist()) == (2, [2, -1])
    moved = InOrder().start([Prompt("p0", 1), Prompt("p1", 0)])
    moved.load_state_dict(state)
    assert (moved.groups, moved.when.tolist()) == (0, [2, 2])
    assert np.isnan(moved.rates).all()
