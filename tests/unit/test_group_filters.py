"""Group filters: their rule, their section of the config, and what the preflight check refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.config.schema import SparftConfig
from sparft_plugin.curriculum import Outcome, Pick, Prompt
from sparft_plugin.curriculum.filters import Band, MixedOnly
from sparft_plugin.errors import SparftError


def group(*accuracies):
    values = np.array(accuracies, dtype=np.float64)
    return Outcome(Pick(0, Prompt("p")), values, np.zeros(len(values)))


@given(st.lists(st.booleans(), min_size=1, max_size=16))
def test_mixed_only_is_dapos_rule_on_right_and_wrong(right):
    assert MixedOnly().keep(group(*right)) == (0 < sum(right) < len(right))


@pytest.mark.parametrize(
    ("accuracies", "kept"), [((0.5, 0.5), False), ((0.5, 0.6), True), ((0.0, 0.2), True)]
)
def test_mixed_only_keeps_partial_accuracies_that_differ(accuracies, kept):
    assert MixedOnly().keep(group(*accuracies)) is kept


@pytest.mark.parametrize(
    ("right", "kept"), [(0, False), (1, False), (2, True), (5, True), (8, True), (9, False)]
)
def test_a_band_holds_both_its_ends(right, kept):
    assert Band(0.2, 0.8).keep(group(*[1] * right, *[0] * (10 - right))) is kept


@pytest.mark.parametrize("n", range(1, 50))
def test_an_end_of_a_band_is_not_missed_by_rounding(n):
    for right in range(n + 1):
        assert Band(right / n, right / n).keep(group(*[1] * right, *[0] * (n - right)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lo": -0.1}, "sparft.group_filter.lo=-0.1 must be a number in"),
        ({"hi": 1.1}, "sparft.group_filter.hi=1.1 must be a number in"),
        ({"hi": float("nan")}, "sparft.group_filter.hi=nan must be a number in"),
        ({"lo": True}, "sparft.group_filter.lo=True must be a number in"),
        ({"lo": 0.9}, "lo=0.9 must not be above sparft.group_filter.hi=0.8"),
    ],
)
def test_a_band_that_is_none_is_refused_by_name(options, message):
    with pytest.raises(SparftError, match=message):
        Band(**options)


@pytest.mark.parametrize("section", [None, {"name": None}])
def test_without_a_name_there_is_no_filter(section):
    assert SparftConfig.from_mapping({"group_filter": section}).build_group_filter() is None


def test_the_section_names_a_filter_and_its_options():
    section = {"name": "band", "lo": 0.1, "hi": 0.9}
    assert SparftConfig.from_mapping({"group_filter": section}).build_group_filter() == Band(
        0.1, 0.9
    )


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"name": "mixed"}, "did you mean 'mixed_only'"),
        ({"name": "band", "low": 0.1}, "option of the group filter 'band' 'low'"),
        ({"lo": 0.1}, "sparft.group_filter must hold a name"),
    ],
)
def test_a_wrong_section_is_refused_by_name(section, message):
    with pytest.raises(SparftError, match=message):
        SparftConfig.from_mapping({"group_filter": section})
