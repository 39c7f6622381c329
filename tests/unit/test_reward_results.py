"""What a reward function may return, and what comes back as a fault with the mend."""

from __future__ import annotations

import re

import numpy as np
import pytest

from sparft_plugin import SparftError
from sparft_plugin.config.accuracy import AccuracyRule
from tests.unit.reward_rollouts import extras, fault, letters, returns, rollout, score, torch

ROW = "row 12 of data.train_files: "


@pytest.mark.parametrize("wraps", ["naive", "dapo", "gdpo"])
def test_a_dict_without_a_score_is_named_whichever_manager_reads_it(wraps):
    told = fault(returns({"acc": 1.0}), rollout(letters("a")), wraps=wraps)
    assert told.startswith(f"{ROW}the reward function returned no 'score'; return a dict with")


def test_the_manager_that_makes_errors_zeros_still_tells_the_error():
    (extra,) = extras(returns({"acc": 1.0}), rollout(letters("a")), wraps="rate_limited")
    assert (extra["error"], extra["acc"]) == ("'score'", 0.0)


def broken(**_):
    raise KeyError("answer")


def test_whatever_a_reward_function_raises_comes_back_with_its_row(caplog):
    told = fault(broken, rollout(letters("a")))
    assert told == (
        f"{ROW}the reward function raised KeyError: 'answer'; mend it, or let it handle such a "
        "response."
    )
    assert "Traceback" in caplog.text


def test_a_legacy_trainer_stops_where_a_reward_raises_and_validation_is_verls_to_handle():
    with pytest.raises(SparftError, match=f"^{ROW}the reward function raised") as told:
        score(broken, rollout(letters("a")), use_v1=False)
    assert isinstance(told.value.__cause__, KeyError)
    with pytest.raises(KeyError, match="answer"):
        score(broken, rollout(letters("a"), training=False))


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (1.5, "gave acc=1.5, which is no accuracy"),
        (-0.1, "gave acc=-0.1, which is no accuracy"),
        ({"score": 1.5}, "gave score=1.5, which is no accuracy"),
        ({"score": -1.0}, "gave score=-1, which is no accuracy"),
        ({"score": 1.0, "acc": 1.01}, "gave acc=1.01, which is no accuracy"),
        ({"score": 1.0, "acc": float("nan")}, "gave acc=nan, which is no score"),
        ({"score": 1.0, "acc": None}, "gave acc=None, which is no number"),
        ({"score": 1.0, "acc": "right"}, "gave acc='right', which is no number"),
        ({"score": None, "acc": 1.0}, "gave score=None, which is no number"),
        ({"score": float("nan"), "acc": 1.0}, "gave score=nan, which is no score"),
        (float("inf"), "gave score=inf, which is no score"),
        (None, "gave score=None, which is no number"),
    ],
)
def test_a_result_that_tells_no_accuracy_is_a_fault_that_names_the_option(result, told):
    sentence = fault(returns(result), rollout(letters("a")))
    assert sentence.startswith(f"{ROW}the reward function {told}")
    assert "return a dict with 'score' and with 'acc' between 0 and 1" in sentence
    assert "sparft.accuracy='score>0'" in sentence


def test_numbers_of_any_make_are_accuracies_and_a_score_alone_where_it_can_be_one():
    for accuracy in (True, np.float32(1), torch.tensor(1.0), 1):
        assert AccuracyRule().read({"acc": accuracy}, 0.0) == (1.0, "acc")
    assert AccuracyRule().read({"other": 3}, 0.75) == (0.75, "score")
    (result,) = score(returns(0.25), rollout(letters("a")))
    assert (result["reward_score"], result["reward_extra_info"]["acc"]) == (0.25, 0.25)


@pytest.mark.parametrize(
    ("rule", "scores", "accuracies"),
    [
        ("score>0", [-3.0, 0.0, 0.5, 3.0], [0, 0, 1, 1]),
        ("score >= 0.5", [-1.0, 0.5, 0.49, 1.5], [0, 1, 0, 1]),
        ("score>=-1e-1", [-0.1, -0.2], [1, 0]),
    ],
)
def test_a_rule_says_how_accuracy_follows_from_the_score(rule, scores, accuracies):
    told = [extras(returns(s), rollout(letters("a")), accuracy=rule)[0] for s in scores]
    assert [extra["acc"] for extra in told] == accuracies
    assert [extra["sparft_score"] for extra in told] == scores
    assert {extra["sparft_source"] for extra in told} == {rule}


def test_a_rule_reads_the_key_that_it_names():
    result = {"score": 7.0, "solved": 0.5, "acc": 1.0}
    (extra,) = extras(returns(result), rollout(letters("a")), accuracy="key:solved")
    assert (extra["acc"], extra["sparft_source"]) == (0.5, "solved")
    told = fault(returns({"score": 7.0}), rollout(letters("a")), accuracy="key:solved")
    assert told == (
        f"{ROW}the reward function returned no 'solved', which sparft.accuracy=key:solved reads."
    )


@pytest.mark.parametrize("rule", ["score", "score<1", "score>one", "key:", "acc", 1, ""])
def test_a_rule_of_another_form_is_refused(rule):
    with pytest.raises(SparftError, match=re.escape(f"sparft.accuracy={rule!r} has none of")):
        AccuracyRule(rule)


@pytest.mark.parametrize("use_v1", [True, False])
def test_other_keys_may_differ_between_rollouts(use_v1):
    results = [{"score": 1.0, "boxed": 1}, {"score": 0.0, "unboxed": 1}]
    two = [rollout(letters("a")), rollout(letters("b"))]
    first, second = extras(lambda **_: results.pop(0), *two, use_v1=use_v1)
    assert ("boxed" in first, "unboxed" in first) == (True, False)
    assert ("boxed" in second, "unboxed" in second) == (False, True)
