"""Bad input, line by line: each is a named error or a counted rule, for every method.

What the shared matrix proves besides: batches larger than the pool, arms that lose their prompts,
and states loaded between a selection and its groups (``sparft_plugin.testing.curricula``).
"""

from __future__ import annotations

import numpy as np
import pytest

from sparft_plugin.curriculum import Outcome, Pick, Prompt
from sparft_plugin.curriculum.wrappers.wrap import wrap
from sparft_plugin.errors import SparftError
from sparft_plugin.plugins import build
from sparft_plugin.testing.curricula.subject import outcome

from .test_curriculum_matrix import NAMES, alone, wrapped

WRAPPED = ["retest", "share_floor"]
EVERY = {
    **{name: alone(name) for name in NAMES},
    **{f"{w}({name})": wrapped(name, w) for name in NAMES for w in WRAPPED},
    **{f"share_floor(retest({name}))": wrapped(name, *WRAPPED) for name in NAMES},
}
NAN, INF = float("nan"), float("inf")


def group(pick, accuracies, advantages=None):
    """What a host makes of a finished group."""
    zeros = [0.0] * len(accuracies)
    return Outcome(
        pick, np.array(accuracies), np.array(zeros if advantages is None else advantages)
    )


# What is told, given three picks: 0 is out, 1 was observed before, 2 has expired.
REFUSED = {
    "a pick that was never made": (
        lambda first, seen, gone: [outcome(first), outcome(Pick(99, first.prompt))],
        "pick 99 is not outstanding; observe each selected pick once, before it expires.",
    ),
    "a pick with a negative id": (
        lambda first, seen, gone: [group(Pick(-1, first.prompt), [1.0])],
        "pick -1 is not outstanding",
    ),
    "a pick that was observed before": (
        lambda first, seen, gone: [outcome(first), outcome(seen)],
        "pick 1 is not outstanding",
    ),
    "a pick twice in one call": (
        lambda first, seen, gone: [outcome(first), outcome(first)],
        "pick 0 is observed twice in one call; give it once.",
    ),
    "a pick that has expired": (
        lambda first, seen, gone: [outcome(first), outcome(gone)],
        "pick 2 is not outstanding",
    ),
    "a pick of another prompt": (
        lambda first, seen, gone: [outcome(Pick(0, Prompt("stranger", 0)))],
        "pick 0 was made of another prompt than stranger; observe the pick that select returned.",
    ),
    "an accuracy above 1": (
        lambda first, seen, gone: [group(first, [0.0, 1.5])],
        "has an accuracy outside [0, 1]: [0.0, 1.5]; return 'acc' between 0 and 1",
    ),
    "an accuracy below 0": (
        lambda first, seen, gone: [group(first, [-0.1])],
        "has an accuracy outside [0, 1]: [-0.1];",
    ),
    "a NaN accuracy": (
        lambda first, seen, gone: [group(first, [NAN, 1.0])],
        "has an accuracy outside [0, 1]: [nan, 1.0];",
    ),
    "a NaN advantage": (
        lambda first, seen, gone: [group(first, [0.0, 1.0], [NAN, 0.5])],
        "has a NaN or infinite advantage; check its rewards.",
    ),
    "an infinite advantage": (
        lambda first, seen, gone: [group(first, [0.0, 1.0], [-INF, 0.5])],
        "has a NaN or infinite advantage; check its rewards.",
    ),
    "an empty group": (
        lambda first, seen, gone: [group(first, [])],
        "has no rollouts; expire the pick instead of observing it.",
    ),
    "more accuracies than advantages": (
        lambda first, seen, gone: [group(first, [0.0, 1.0], [0.5])],
        "has 2 accuracies but 1 advantages; give one of each per rollout.",
    ),
}


@pytest.mark.parametrize("method", EVERY)
@pytest.mark.parametrize("what", REFUSED)
def test_a_bad_group_is_refused_in_a_sentence_and_nothing_is_learned(what, method):
    tell, sentence = REFUSED[what]
    curriculum = EVERY[method].make()
    first, seen, gone = curriculum.select(3)
    curriculum.observe([outcome(seen)])
    curriculum.expire([gone.pick_id])
    before = curriculum.state_dict()
    with pytest.raises(SparftError) as refused:
        curriculum.observe(tell(first, seen, gone))
    assert sentence in str(refused.value)
    assert curriculum.state_dict() == before
    # The pick that came with it is still waited for.
    curriculum.observe([outcome(first)])
    assert (curriculum.observed, curriculum.expired, curriculum.outstanding) == (2, 1, {})


@pytest.mark.parametrize("method", EVERY)
class TestCountedRules:
    def test_more_prompts_than_there_are_come_again(self, method):
        picks = EVERY[method].make().select(40)
        often = np.unique([pick.prompt.id for pick in picks], return_counts=True)[1]
        assert often.sum() == 40
        # Eleven prompts fit four times into forty slots.
        assert often.max() <= 4

    def test_a_pick_expires_once_and_only_if_it_is_out(self, method):
        curriculum = EVERY[method].make()
        first, second, _ = curriculum.select(3)
        curriculum.observe([outcome(first)])
        curriculum.expire([first.pick_id, second.pick_id, second.pick_id, 99, -1])
        assert curriculum.metrics()["expired"] == 1
        assert curriculum.metrics()["outstanding"] == 1

    def test_a_group_of_nothing_is_nothing(self, method):
        curriculum = EVERY[method].make()
        curriculum.select(3)
        before = curriculum.state_dict()
        curriculum.observe([])
        assert curriculum.state_dict() == before

    @pytest.mark.parametrize("n", [0, -1])
    def test_fewer_than_one_prompt_is_refused(self, n, method):
        curriculum = EVERY[method].make()
        with pytest.raises(SparftError, match=f"cannot select {n} prompts; ask for at least one."):
            curriculum.select(n)
        assert curriculum.next_pick_id == 0


# Options that no pool, or not this one, can follow.
OPTIONS = {
    "weights that sum to less than 1": (
        "mixture",
        {"weights": [0.5, 0.4]},
        {},
        "sum to 1, not to 0.9",
    ),
    "weights that sum to more than 1": (
        "mixture",
        {"weights": {0: 0.8, 1: 0.3}},
        {},
        "sum to 1, not to 1.1",
    ),
    "a negative weight": (
        "mixture",
        {"weights": [-0.5, 1.5]},
        {},
        "weights of arm 0 must be a number in [0, 1], not -0.5",
    ),
    "a weight for an arm without prompts": (
        "mixture",
        {"weights": {0: 0.5, 2: 0.5}},
        {},
        "gives arm 2 the weight 0.5, but it has no prompts; the arms with prompts are [0, 1, 3]",
    ),
    "floors that sum to more than 1": (
        "uniform",
        {},
        {"share_floor": 0.4},
        "share_floor.floor=0.4 promises 3 arms more than all picks; it can be at most 0.3333",
    ),
    "a share of re-tests above 1": (
        "uniform",
        {},
        {"retest": {"share": 1.5}},
        "sparft.curriculum.retest.share=1.5 must be",
    ),
}


@pytest.mark.parametrize("what", OPTIONS)
def test_shares_that_cannot_be_kept_are_refused_before_the_first_pick(what):
    name, options, wrappers, sentence = OPTIONS[what]
    with pytest.raises(SparftError) as refused:
        wrap(build("curriculum", name, options), wrappers).start(alone("uniform").make().pool)
    assert sentence in str(refused.value)


def test_an_arm_whose_prompts_are_all_retired_gives_its_slots_to_others_and_they_are_counted():
    curriculum = wrap(
        build("curriculum", "mixture", {"weights": {1: 1.0}}), {"retest": {"after": 1, "share": 0}}
    ).start(alone("uniform").make().pool)
    picks = curriculum.select(2)
    assert [pick.prompt.arm for pick in picks] == [1, 1]
    curriculum.observe([group(pick, [0.0, 0.0]) for pick in picks])
    assert {pick.prompt.arm for pick in curriculum.select(2)} <= {0, 3}
    assert curriculum.metrics()["retest/retired"] == 2
    assert curriculum.metrics()["retest/withheld"] == 2
