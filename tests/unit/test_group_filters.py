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


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=16))
def test_mixed_only_keeps_groups_whose_rollouts_differ_as_dapo_does(accuracies):
    assert MixedOnly().keep(group(*accuracies)) == (len(set(accuracies)) > 1)


@pytest.mark.parametrize("n", range(1, 50))
def test_a_band_holds_both_its_ends_and_misses_none_by_rounding(n):
    for right in range(n + 1):
        told = group(*[1] * right, *[0] * (n - right))
        assert Band(right / n, right / n).keep(told)
        assert Band(0.2, 0.8).keep(told) is (n <= 5 * right <= 4 * n)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lo": -0.1}, "sparft.group_filter.lo must be a finite number .* not -0.1"),
        ({"hi": 1.1}, "sparft.group_filter.hi must be a finite number .* not 1.1"),
        ({"hi": float("nan")}, "sparft.group_filter.hi must be a finite number .* not nan"),
        ({"lo": True}, "sparft.group_filter.lo must be a finite number .* not True"),
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
