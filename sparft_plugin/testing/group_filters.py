"""The contract of a group filter, as checks."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from sparft_plugin.curriculum import Outcome, Pick, Prompt
from sparft_plugin.curriculum.filters import GroupFilter
from sparft_plugin.testing.expect import Checked, expect, expect_dataclass


def check_group_filter(factory: Callable[..., GroupFilter], **options: Any) -> None:
    """Check that a group filter keeps the contract.

    ``keep`` must answer True or False for every group, by the outcome alone and however often it is
    asked, must not mind the order of rollouts, and must keep something of groups of eight: a filter
    that keeps nothing makes its host refill for ever.
    """
    subject = Checked(factory, options)
    one, other, name = subject.make(), subject.make(), subject.name
    expect_dataclass(one, GroupFilter, name)
    outcomes = sample_outcomes()
    answers = []
    for outcome in outcomes:
        before = np.array([outcome.accuracies, outcome.advantages])
        answer = one.keep(outcome)
        group = f"a group of accuracies {outcome.accuracies.tolist()}"
        expect(type(answer) is bool, f"{name} must answer True or False for {group}: {answer!r}.")
        same = np.array_equal(before, [outcome.accuracies, outcome.advantages])
        expect(same, f"{name} wrote to {group}.")
        turned = Outcome(outcome.pick, outcome.accuracies[::-1], outcome.advantages[::-1])
        expect(one.keep(turned) == answer, f"{name} minds the order of the rollouts of {group}.")
        answers.append(answer)
    expect(
        [other.keep(outcome) for outcome in outcomes[::-1]][::-1] == answers,
        f"{name} must judge each group by itself, whatever it was asked before.",
    )
    kept = [a for a, outcome in zip(answers, outcomes, strict=True) if outcome.accuracies.size == 8]
    expect(any(kept), f"{name} keeps no group of eight rollouts; its host would refill for ever.")


def sample_outcomes() -> list[Outcome]:
    """Groups of 1 to 8 rollouts: right, wrong, mixed, and partly right."""
    rng = np.random.default_rng(0)
    groups = [
        np.array(bits, dtype=np.float64) for n in (1, 2, 3) for bits in product((0, 1), repeat=n)
    ]
    groups += [(np.arange(8) < right).astype(np.float64) for right in range(9)]
    groups += [np.full(8, share) for share in (0.1, 0.5, 0.9)]
    groups += [rng.choice([0.0, 0.25, 1.0], size=8) for _ in range(20)]
    return [
        Outcome(Pick(i, Prompt(f"p{i}", i % 3, 0.5)), accuracies, accuracies - accuracies.mean())
        for i, accuracies in enumerate(groups)
    ]
