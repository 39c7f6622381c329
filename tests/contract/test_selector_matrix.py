"""What every registered selector must do, whatever its rule is."""

from __future__ import annotations

import copy
import dataclasses
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sparft_plugin.errors import SparftError
from sparft_plugin.plugins import build, lookup, registered
from sparft_plugin.reduction.selectors import Members, Selector, check_needs

NAMES = sorted(registered("selector"))
NESTED = {"d3", "farthest_point", "limr", "medoid", "nearest_centroid", "random"}
BUILT_IN = NESTED | {"difficulty_spread"}
NEEDS = {"difficulties", "curves"}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def cluster(n: int, width: int = 5, seed: int = 0) -> Members:
    """n members that differ in everything; a fifth of the visits did not happen."""
    draw = rng(seed)
    curves = draw.random((n, 6))
    curves[draw.random((n, 6)) < 0.2] = np.nan
    return Members(draw.normal(size=(n, width)), draw.random(n), curves)


def choose(name: str, members: Members, k: int, seed: int = 0) -> list[int]:
    return build("selector", name).select(members, k, rng(seed)).tolist()


@st.composite
def coarse_clusters(draw) -> Members:
    """Few members with many ties, which is where rules break."""
    n = draw(st.integers(1, 12))
    whole = arrays(np.float64, (n, draw(st.integers(1, 3))), elements=st.integers(-2, 2).map(float))
    shares = st.sampled_from([0.0, 0.25, 1.0])
    visits = draw(st.integers(1, 3))
    return Members(
        draw(whole),
        draw(arrays(np.float64, n, elements=shares)),
        draw(arrays(np.float64, (n, visits), elements=st.one_of(shares, st.just(np.nan)))),
    )


def test_the_built_in_rules_are_registered():
    assert set(NAMES) >= BUILT_IN


def test_all_built_in_rules_but_one_promise_that_a_smaller_choice_begins_a_larger_one():
    assert {name for name in BUILT_IN if lookup("selector", name).nested} == NESTED


@pytest.mark.parametrize("name", NAMES)
class TestSelector:
    def test_is_a_dataclass_of_the_contract(self, name):
        cls = lookup("selector", name)
        assert issubclass(cls, Selector)
        assert dataclasses.is_dataclass(cls)
        assert cls.needs <= NEEDS

    def test_an_unknown_option_is_refused_by_name(self, name):
        with pytest.raises(SparftError, match=f"option of the selector '{name}' 'nonsense'"):
            build("selector", name, {"nonsense": 1})

    @given(members=coarse_clusters(), k=st.integers(0, 15))
    @settings(deadline=None, max_examples=50)
    def test_gives_the_exact_count_of_distinct_existing_rows(self, name, members, k):
        chosen = build("selector", name).select(members, k, rng())
        assert chosen.dtype == np.int64
        assert chosen.shape == (min(k, len(members)),)
        assert len(set(chosen.tolist())) == len(chosen)
        assert set(chosen.tolist()) <= set(range(len(members)))

    @pytest.mark.parametrize("k", [0, 1, 7, 20, 21, 1000])
    def test_gives_all_it_has_where_more_is_wanted(self, name, k):
        assert len(choose(name, cluster(20), k)) == min(k, 20)

    def test_nothing_of_nothing_is_nothing(self, name):
        assert choose(name, cluster(0), 3) == []

    def test_a_single_member_stands_for_itself(self, name):
        assert choose(name, cluster(1), 3) == [0]

    def test_members_that_are_all_equal_are_all_as_good(self, name):
        equal = Members(np.full((9, 4), 0.1), np.full(9, 0.3), np.full((9, 2), 0.7))
        assert len(set(choose(name, equal, 5))) == 5

    @pytest.mark.parametrize("label", [0.0, 1.0])
    def test_always_and_never_solved_members_can_be_chosen(self, name, label):
        members = Members(rng().normal(size=(9, 4)), np.full(9, label), np.full((9, 2), 1 - label))
        assert len(set(choose(name, members, 9))) == 9

    def test_members_without_a_visit_can_be_chosen(self, name):
        members = dataclasses.replace(cluster(9), curves=np.full((9, 3), np.nan))
        assert len(set(choose(name, members, 9))) == 9

    @given(members=coarse_clusters(), k=st.integers(1, 12), seed=st.integers(0, 2**32))
    @settings(deadline=None, max_examples=25)
    def test_the_same_members_and_seed_give_the_same_choice(self, name, members, k, seed):
        again = copy.deepcopy(members)
        assert choose(name, members, k, seed) == choose(name, again, k, seed)

    def test_global_random_state_does_not_matter(self, name):
        np.random.seed(1)  # noqa: NPY002
        one = choose(name, cluster(40), 10)
        np.random.seed(2)  # noqa: NPY002
        assert choose(name, cluster(40), 10) == one

    def test_one_selector_serves_many_clusters(self, name):
        selector = build("selector", name)
        both = [selector.select(cluster(n), 4, rng()).tolist() for n in (30, 20)]
        assert both == [choose(name, cluster(30), 4), choose(name, cluster(20), 4)]

    def test_the_members_are_left_as_they_were(self, name):
        members = cluster(30)
        before = copy.deepcopy(members)
        choose(name, members, 10)
        for field in dataclasses.fields(members):
            np.testing.assert_array_equal(getattr(members, field.name), getattr(before, field.name))

    def test_a_shift_and_a_scale_of_the_features_change_nothing(self, name):
        members = cluster(40)
        moved = dataclasses.replace(members, features=1000.0 + 8.0 * members.features)
        assert choose(name, moved, 10) == choose(name, members, 10)

    def test_what_it_does_not_need_may_be_missing(self, name):
        members = cluster(30)
        for spare in NEEDS - lookup("selector", name).needs:
            lacking = dataclasses.replace(members, **{spare: None})
            assert choose(name, lacking, 10) == choose(name, members, 10)

    def test_what_it_needs_is_refused_with_the_mend_where_it_is_missing(self, name):
        cls = lookup("selector", name)
        check_needs(name, cls, NEEDS)
        for need in cls.needs:
            message = f"the selector '{name}' needs .*; add --difficulty "
            with pytest.raises(SparftError, match=message):
                check_needs(name, build("selector", name), NEEDS - {need})
            with pytest.raises(SparftError, match=message):
                choose(name, dataclasses.replace(cluster(5), **{need: None}), 2)

    def test_ten_thousand_members_take_no_more_than_seconds(self, name):
        members = cluster(10_000, width=33)
        start = time.perf_counter()
        chosen = choose(name, members, 100)
        assert time.perf_counter() - start < 10
        assert len(set(chosen)) == 100


# Chance draws rows, not members.
@pytest.mark.parametrize("name", [name for name in NAMES if name != "random"])
@pytest.mark.parametrize("k", [1, 6, 29])
@pytest.mark.parametrize("seed", range(5))
def test_another_order_of_rows_gives_the_same_members(name, k, seed):
    members, order = cluster(30, seed=seed), rng(seed + 100).permutation(30)
    shuffled = choose(name, members.take(order), k)
    assert order[shuffled].tolist() == choose(name, members, k)


@pytest.mark.parametrize("name", [name for name in NAMES if lookup("selector", name).nested])
@given(members=coarse_clusters())
@settings(deadline=None, max_examples=25)
def test_a_smaller_choice_begins_a_larger_one(name, members):
    everyone = choose(name, members, len(members))
    for k in range(len(members)):
        assert choose(name, members, k) == everyone[:k]
