"""What the simulator says of our methods, held as a regression bench: few seeds, wide margins."""

from __future__ import annotations

import numpy as np
import pytest

from sparft_plugin.simulate import SCENARIOS, Comparison, Method, compare

SEEDS = 4


@pytest.fixture(scope="module")
def found():
    """Comparisons by scenario, each made once."""
    made: dict[str, Comparison] = {}

    def compared(name: str) -> Comparison:
        if name not in made:
            methods = [Method("sparft"), Method("learnability")]
            made[name] = compare(methods, name, SCENARIOS[name], SEEDS)
        return made[name]

    return compared


def dead_share(comparison: Comparison, method: str) -> np.ndarray:
    """Share of the picks of each quarter that goes to arms that never pass, mean over seeds."""
    picks = comparison.runs[method].picks
    quarters = np.stack([part.sum(axis=1) for part in np.array_split(picks, 4, axis=1)])
    shares = quarters[..., ~comparison.learned].sum(axis=2) / quarters.sum(axis=2)
    return shares.mean(axis=1)


def test_sparft_starves_the_others_for_arms_that_never_pass(found):
    shares = dead_share(found("unlearnable"), "sparft")
    assert (np.diff(shares) > 0).all()
    assert shares[-1] > 0.8


def test_learnability_leaves_arms_that_never_pass_at_their_floor(found):
    # The floor is 3/13 of a tenth; uniform gives these arms 3/13 of all picks.
    shares = dead_share(found("unlearnable"), "learnability")
    assert 0.5 * 0.1 * 3 / 13 < shares[-1] < 0.5 * 3 / 13
    assert shares[-1] < shares[0]


@pytest.mark.parametrize("name", ["transfer", "scattered", "saturated"])
def test_learnability_needs_fewer_prompts_than_uniform_where_prompts_differ_in_worth(found, name):
    gap = found(name).against("uniform", "learnability")
    assert gap.mean - gap.half > 0


@pytest.mark.parametrize("name", ["plain", "transfer", "policy_late"])
def test_learnability_wastes_fewer_groups_than_uniform_everywhere(found, name):
    ours, theirs = (found(name).runs[method] for method in ("learnability", "uniform"))
    assert ours.wasted.mean() < theirs.wasted.mean()


def test_a_share_floor_around_sparft_keeps_every_arm_alive():
    floored = Method("sparft", {"share_floor": 0.05})
    found = compare([Method("sparft"), floored], "floored", SCENARIOS["unlearnable"], 2)
    bare, kept = (found.runs[label].arm_shares for label in ("sparft", floored.label))
    assert bare.min() < 0.03
    assert kept.min() > 0.04
    assert found.runs[floored.label].pass_rates[:, -1].min() > 0.7
