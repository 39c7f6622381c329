"""What every registered selector must do, whatever its rule is."""

from __future__ import annotations

import numpy as np
import pytest

from sparft_plugin.errors import SparftError
from sparft_plugin.plugins import build, lookup, registered
from sparft_plugin.testing.selectors import SELECTOR_CHECKS, Subject, cluster

NAMES = sorted(registered("selector"))
NESTED = {"d3", "farthest_point", "limr", "medoid", "nearest_centroid", "random"}


def test_all_built_in_rules_but_one_promise_that_a_smaller_choice_begins_a_larger_one():
    assert all(lookup("selector", name).nested for name in NESTED)
    assert not lookup("selector", "difficulty_spread").nested


@pytest.mark.parametrize("check", SELECTOR_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_contract(name, check):
    check(Subject(lookup("selector", name)))


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_option_and_a_missing_need_are_refused_under_the_registered_name(name):
    with pytest.raises(SparftError, match=f"option of the selector '{name}' 'nonsense'"):
        build("selector", name, {"nonsense": 1})
    for need in lookup("selector", name).needs:
        lacking = {"difficulties": np.zeros(5), "curves": np.zeros((5, 2)), need: None}
        members = type(cluster(5))(cluster(5).features, **lacking)
        with pytest.raises(SparftError, match=f"the selector '{name}' needs .*; add --difficulty"):
            build("selector", name).select(members, 2, np.random.default_rng(0))


# Chance draws rows, not members.
@pytest.mark.parametrize("name", [name for name in NAMES if name != "random"])
@pytest.mark.parametrize("k", [1, 6, 29])
@pytest.mark.parametrize("seed", range(5))
def test_another_order_of_rows_gives_the_same_members(name, k, seed):
    subject = Subject(lookup("selector", name))
    members, order = cluster(30, seed=seed), np.random.default_rng(seed + 100).permutation(30)
    shuffled = subject.choose(members.take(order), k)
    assert order[shuffled].tolist() == subject.choose(members, k)
