"""What is told: late, out of order, never, or wrongly."""

from __future__ import annotations

from functools import partial

import numpy as np

from sparft_plugin.curriculum import Pick
from sparft_plugin.testing.curricula.subject import SEEDS, Subject, outcome
from sparft_plugin.testing.expect import expect, expect_refusal, through_json


def does_not_depend_on_the_order_of_groups(subject: Subject) -> None:
    """Groups of one observation may arrive in any order."""
    for seed in SEEDS:
        order = np.random.default_rng(seed).permutation(12)
        one, other = subject.make(), subject.make()
        outcomes = [outcome(pick) for pick in one.select(12)]
        other.select(12)
        one.observe(outcomes)
        other.observe([outcomes[i] for i in order])
        expect(
            one.state_dict() == other.state_dict() and one.select(20) == other.select(20),
            f"{subject.name} learned something else when the groups came in another order.",
        )


def refuses_wrong_picks(subject: Subject) -> None:
    """One unknown, expired or observed before, none asked for; nothing is learned then."""
    curriculum, name = subject.make(), subject.name
    first, second, third, fourth = curriculum.select(4)
    curriculum.observe([outcome(first)])
    curriculum.expire([third.pick_id])
    before = curriculum.state_dict()
    wrong = {
        "a pick that was observed before": [outcome(first)],
        "a pick that has expired": [outcome(fourth), outcome(third)],
        "a pick that was never made": [outcome(Pick(99, second.prompt))],
        "a pick twice in one call": [outcome(second), outcome(second)],
        "a pick with another prompt": [outcome(Pick(second.pick_id, first.prompt))],
    }
    for what, outcomes in wrong.items():
        expect_refusal(
            partial(curriculum.observe, outcomes),
            "pick",
            f"{name} must refuse {what}",
        )
    expect_refusal(lambda: curriculum.select(0), "at least one", f"{name} must refuse select(0)")
    expect(curriculum.state_dict() == before, f"{name} changed its state by what it refused.")


def answers_only_the_picks_of_a_loaded_state(subject: Subject) -> None:
    """A state loaded between a selection and its groups knows the picks made before it was saved.

    Those made later are strange to it; ids it gives anew are picks of its own.
    """
    curriculum, name = subject.make(), subject.name
    before = curriculum.select(3)
    state = through_json(curriculum.state_dict(), name)
    later = curriculum.select(3)
    curriculum.load_state_dict(state)
    for pick in later:
        expect_refusal(
            partial(curriculum.observe, [outcome(before[0]), outcome(pick)]),
            "pick",
            f"{name} must refuse a pick that was made after the state it has loaded",
        )
    expect(curriculum.state_dict() == state, f"{name} changed its state by what it refused.")
    expect(
        curriculum.select(3) == later,
        f"{name} makes other picks after a load than after the save.",
    )
    curriculum.observe([outcome(pick) for pick in [*later, *before]])
    left = dict(curriculum.outstanding)
    expect(not left, f"{name} still waits for {left}, all of which was observed.")
