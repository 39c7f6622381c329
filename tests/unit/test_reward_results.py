"""What a reward function may return, and what is refused with the mend."""

from __future__ import annotations

import numpy as np
import pytest

from sparft_plugin import SparftError
from sparft_plugin.hosts.verl.reward_checks import SameKeys, raw_accuracy
from tests.unit.reward_rollouts import extras, letters, returns, rollout, score, torch


def test_a_bare_number_is_score_and_accuracy():
    (result,) = score(returns(0.25), rollout(letters("a")))
    assert (result["reward_score"], result["reward_extra_info"]["acc"]) == (0.25, 0.25)


@pytest.mark.parametrize("wraps", ["naive", "dapo", "gdpo"])
def test_a_dict_without_a_score_is_named_whichever_manager_reads_it(wraps):
    with pytest.raises(SparftError, match="no 'score'; return a dict with 'score'") as told:
        score(returns({"acc": 1.0}), rollout(letters("a")), wraps=wraps)
    assert isinstance(told.value.__cause__, KeyError)


def test_the_manager_that_makes_errors_zeros_still_tells_the_error():
    (extra,) = extras(returns({"acc": 1.0}), rollout(letters("a")), wraps="rate_limited")
    assert (extra["error"], extra["acc"]) == ("'score'", 0.0)


def test_another_missing_key_stays_the_recipes_own_error():
    def broken(**_):
        raise KeyError("answer")

    with pytest.raises(KeyError, match="answer"):
        score(broken, rollout(letters("a")))


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (1.5, "gave accuracy 1.5"),
        (-0.1, "gave accuracy -0.1"),
        ({"score": 1.5}, "gave the score 1.5 and no 'acc'"),
        ({"score": -1.0}, "gave the score -1.0 and no 'acc'"),
        ({"score": 1.0, "acc": 1.01}, "gave accuracy 1.01"),
        ({"score": 1.0, "acc": float("nan")}, "gave accuracy nan"),
        ({"score": 1.0, "acc": None}, "gave acc=None, which is no number"),
        ({"score": 1.0, "acc": "right"}, "gave acc='right', which is no number"),
        ({"score": None, "acc": 1.0}, "gave score=None, which is no number"),
        ({"score": float("nan"), "acc": 1.0}, "gave the score nan"),
        (float("inf"), "gave the score inf"),
        (None, "gave score=None, which is no number"),
    ],
)
def test_a_result_that_tells_no_accuracy_is_refused(result, told):
    with pytest.raises(SparftError) as error:
        score(returns(result), rollout(letters("a")))
    assert told in str(error.value)
    assert "return a dict with 'score' and with 'acc' between 0 and 1." in str(error.value)


@pytest.mark.parametrize("accuracy", [True, np.float32(1), torch.tensor(1.0), 1])
def test_numbers_of_any_make_are_accuracies(accuracy):
    assert raw_accuracy({"acc": accuracy}, 0.0) == 1.0


def test_a_score_alone_is_the_accuracy_where_it_can_be_one():
    assert raw_accuracy({"other": 3}, 0.75) == 0.75


def alternating(*results):
    left = list(results)
    return lambda **_: left.pop(0)


@pytest.mark.parametrize(
    "results",
    [
        ({"score": 1.0, "acc": 1.0}, {"score": 0.0}),
        ({"score": 0.0}, {"score": 1.0, "acc": 1.0}),
        ({"score": 0.0}, 1.0),
    ],
)
def test_an_accuracy_that_comes_and_goes_is_refused(results):
    two = [rollout(letters("a")), rollout(letters("b"))]
    with pytest.raises(SparftError, match="returned 'acc' for some responses and not for others"):
        score(alternating(*results), *two)


def test_other_keys_may_differ_where_verl_keeps_each_rollouts_own():
    one, other = {"score": 1.0, "acc": 1.0, "boxed": 1}, {"score": 0.0, "acc": 0.0, "unboxed": 1}
    two = [rollout(letters("a")), rollout(letters("b"))]
    first, second = extras(alternating(one, other), *two)
    assert ("boxed" in first, "unboxed" in first) == (True, False)
    assert ("boxed" in second, "unboxed" in second) == (False, True)


def test_the_legacy_trainer_needs_the_same_keys_everywhere():
    one, other = {"score": 1.0, "acc": 1.0, "boxed": 1}, {"score": 0.0, "acc": 0.0, "unboxed": 1}
    two = [rollout(letters("a")), rollout(letters("b"))]
    with pytest.raises(SparftError, match="returned 'boxed', 'unboxed' for some responses"):
        score(alternating(one, other), *two, use_v1=False)


def test_a_refused_rollout_does_not_change_what_is_expected():
    keys = SameKeys(every_key=True)
    keys.check({"score": 1, "acc": 1})
    with pytest.raises(SparftError):
        keys.check({"score": 1})
    keys.check({"acc": 0, "score": 0})
