"""The checks for strangers find what is broken, and say it in a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from sparft_plugin.curriculum.filters import Band, GroupFilter
from sparft_plugin.curriculum.sparft import SparftCurriculum
from sparft_plugin.curriculum.uniform import UniformCurriculum
from sparft_plugin.errors import SparftError
from sparft_plugin.memory.memory_r import MemoryR
from sparft_plugin.reduction.embedders import Embedder
from sparft_plugin.reduction.selectors.farthest_point import FarthestPoint
from sparft_plugin.testing import (
    check_curriculum,
    check_embedder,
    check_group_filter,
    check_intrinsic_reward,
    check_selector,
    curricula,
)


def broken(base, **methods):
    """A subclass of a good method with one thing wrong."""
    return dataclass(eq=False)(type("Broken", (base,), methods))


def repeats(self, n):
    return np.zeros(n, dtype=np.int64)


def from_global_chance(self, n):
    return np.random.permutation(len(self.pool))[np.arange(n) % len(self.pool)]  # noqa: NPY002


def draws_when_read(self):
    self.rng.random()
    return SparftCurriculum.metrics(self)


CHOOSE = UniformCurriculum.choose
UNIFORM = {
    "gave prompt-0-0 5 times in a batch of 5 of 11": {"choose": repeats},
    r"gave picks \[\] where 1 were asked for": {"choose": lambda self, n: CHOOSE(self, n)[1:]},
    "drew from numpy's global generator|did not repeat itself": {"choose": from_global_chance},
    "gave prompt-0-0 12 times in a batch of 12 of 11": {
        "choose": lambda self, n: CHOOSE(self, n) * (n <= len(self.pool))
    },
    "goes on differently after its state was saved": {
        "rule_state": lambda self: {},
        "load_rule_state": lambda self, state, remap: None,
    },
    "must be JSON without NaN": {"rule_state": lambda self: {"x": float("nan")}},
}
SPARFT = {
    r"is changed by metrics\(\) or state_dict\(\)": {"metrics": draws_when_read},
    "the metric 'sparft/x' of Broken must be a relative name": {
        "metrics": lambda self: {"sparft/x": 1.0}
    },
    "the metric 'x' of Broken must be a finite float, not nan": {
        "metrics": lambda self: {"x": float("nan")}
    },
    "where .* was picked": {"metrics": lambda self: {}},
    'picks the same whatever it was told .* signal = "none"': {
        "update_arms": lambda self, groups: None
    },
    "which .3. are closed": {"draw_arms": lambda self, n, open_arms: np.full(n, 3)},
    "does not restore its whole state|keeps something|goes on differently": {
        "load_rule": lambda self, state, remap: None
    },
}


@pytest.mark.parametrize(
    ("base", "sentence", "methods"),
    [
        (base, sentence, methods)
        for base, cases in ((UniformCurriculum, UNIFORM), (SparftCurriculum, SPARFT))
        for sentence, methods in cases.items()
    ],
)
def test_a_broken_curriculum_is_found(base, sentence, methods):
    with pytest.raises((AssertionError, SparftError), match=sentence):
        check_curriculum(broken(base, **methods))


def keeps_its_picks(self, state):
    outstanding = dict(self.outstanding)
    UniformCurriculum.load_state_dict(self, state)
    self.ledger.outstanding |= outstanding


def drops_packed_passes(self, state, remap):
    if not isinstance(state["order"], str):
        self.passes.load(state)


@pytest.mark.parametrize(
    ("check", "methods", "sentence"),
    [
        (
            curricula.answers_only_the_picks_of_a_loaded_state,
            {"load_state_dict": keeps_its_picks},
            "Broken must refuse a pick that was made after the state it has loaded",
        ),
        (
            curricula.continues_exactly_from_a_saved_state,
            {"load_rule_state": drops_packed_passes},
            "Broken does not restore its whole state",
        ),
        (
            curricula.goes_on_when_an_arm_empties,
            {"choose": repeats},
            r"Broken must pick all of 9 prompts .* after arm 1 lost its prompts",
        ),
        (
            curricula.saves_snapshots,
            {
                "rule_state": lambda self: {"told": vars(self).setdefault("told", [])},
                "learn": lambda self, groups: vars(self).setdefault("told", []).append(len(groups)),
            },
            "changed after it was saved; copy arrays",
        ),
    ],
)
def test_a_broken_curriculum_is_found_by_one_check(check, methods, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check(curricula.Subject(broken(UniformCurriculum, **methods)))


def test_a_class_that_is_no_dataclass_is_found():
    plain = type("Plain", (UniformCurriculum,), {})
    with pytest.raises(AssertionError, match="Plain must be a dataclass"):
        check_curriculum(plain)


def select(rule):
    """A selector's `select` that keeps the first of members in the order of a rule."""
    return {"select": lambda self, members, k, rng: rule(members)[:k]}


def by_difficulty(members):
    known = members.difficulties is not None
    return np.argsort(members.difficulties if known else np.zeros(len(members)), kind="stable")


SELECTORS = {
    "gave a row twice": {"select": lambda self, members, k, rng: np.zeros(k, dtype=np.int64)},
    "where int64 is due": {"select": lambda self, members, k, rng: np.arange(float(k))},
    "gave an array of shape": {"select": lambda self, members, k, rng: np.arange(k)},
    "says it is nested": {
        "select": lambda self, members, k, rng: np.arange(min(k, len(members)))[::-1],
        "nested": True,
    },
    "did not repeat its choice|remembers a cluster": select(
        lambda members: np.roll(np.arange(len(members)), id(members) // 16 % 97)
    ),
    "reads difficulties and does not say so": {**select(by_difficulty), "nested": True},
    "shifted and scaled": select(
        lambda members: np.argsort(np.abs(members.features).sum(axis=1), kind="stable")
    ),
}


@pytest.mark.parametrize("sentence", SELECTORS)
def test_a_broken_selector_is_found(sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_selector(broken(FarthestPoint, **SELECTORS[sentence]))


@dataclass
class Lengths(Embedder):
    """A lawful embedder: a text's length and its first letter, on the circle."""

    model: str = "lengths"
    company: ClassVar[bool] = False

    @property
    def identity(self):
        return f"{self.model}@1"

    def encode(self, texts):
        angles = [len(text) + ord(text[0]) if text else 0.0 for text in texts]
        if self.company:
            angles = [angle + len(texts) for angle in angles]
        return np.array([[np.cos(a), np.sin(a)] for a in angles], np.float32).reshape(-1, 2)


def test_a_lawful_embedder_and_a_filter_pass_with_options():
    check_embedder(Lengths, model="other")
    check_group_filter(Band, lo=0.0, hi=0.5)


@pytest.mark.parametrize(
    ("methods", "sentence"),
    [
        ({"company": True}, "other bits when texts are encoded alone"),
        ({"identity": property(lambda self: f"{id(self)}")}, "same text for two instances"),
        ({"identity": ""}, "identity of Broken must not be empty"),
        ({"encode": lambda self, texts: np.ones((len(texts), 2), np.float32)}, "norm 1.4142, not"),
        ({"encode": lambda self, texts: np.ones((len(texts), 1))}, "gave float64"),
    ],
)
def test_a_broken_embedder_is_found(methods, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_embedder(broken(Lengths, **methods))


@pytest.mark.parametrize(
    ("keep", "sentence"),
    [
        (lambda self, outcome: False, "would refill for ever"),
        (lambda self, outcome: outcome.accuracies.any(), "must answer True or False"),
        (lambda self, outcome: bool(outcome.accuracies[0]), "minds the order of the rollouts"),
    ],
)
def test_a_broken_group_filter_is_found(keep, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_group_filter(broken(GroupFilter, keep=keep))


def test_a_broken_intrinsic_reward_is_found():
    def forgets(self, groups):
        pass

    with pytest.raises(AssertionError, match="gives all rollouts the same"):
        check_intrinsic_reward(broken(MemoryR, remember=forgets))
    with pytest.raises(AssertionError, match="lacks the metrics"):
        check_intrinsic_reward(broken(MemoryR, metrics=lambda self: {}))
