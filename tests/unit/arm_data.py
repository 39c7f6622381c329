"""Pools and groups for the tests of arm methods."""

from __future__ import annotations

from collections import Counter

import numpy as np

from sparft_plugin.curriculum import Outcome, Prompt


def pool(*sizes):
    """Prompts of arms 0, 1, ...; an arm of size 0 is a gap in the numbers."""
    return [Prompt(f"{arm}-{i}", arm) for arm, size in enumerate(sizes) for i in range(size)]


def picks_of(curriculum, *arms):
    """Outstanding picks of these arms, in this order."""
    wanted, found = Counter(arms), []
    while wanted:
        for pick in curriculum.select(1):
            if wanted[pick.prompt.arm] > 0:
                wanted[pick.prompt.arm] -= 1
                found.append(pick)
        wanted = +wanted
    return sorted(found, key=lambda pick: arms.index(pick.prompt.arm))


def group(pick, accuracies, advantages=None):
    """A finished group; without advantages they are 0."""
    accuracies = np.array(accuracies, dtype=np.float64)
    given = np.zeros(len(accuracies)) if advantages is None else np.array(advantages, np.float64)
    return Outcome(pick, accuracies, given)


def tell(curriculum, *groups):
    """One observation of groups given as (arm, accuracies) or (arm, accuracies, advantages)."""
    picks = picks_of(curriculum, *sorted(arm for arm, *_ in groups))
    by_arm = sorted(groups, key=lambda one: one[0])
    curriculum.observe([group(pick, *rest) for pick, (_, *rest) in zip(picks, by_arm, strict=True)])


def signal(curriculum, *groups):
    """One observation of groups given as (arm, advantages)."""
    tell(curriculum, *[(arm, np.zeros(len(values)), values) for arm, values in groups])


def shares(curriculum, draws=20_000):
    """How often each arm is drawn while all arms with prompts are open."""
    drawn = curriculum.draw_arms(draws, curriculum.passes.sizes > 0)
    return np.bincount(drawn, minlength=curriculum.n_arms) / draws


def softmax(*scores):
    weights = np.exp(np.array(scores) - max(scores))
    return weights / weights.sum()
