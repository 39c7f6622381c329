"""One difficulty for each prompt, from sources that may not agree on a scale."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.difficulty.combine import (
    Source,
    combine,
    mid_rank_quantiles,
    scale_labels,
)
from sparft_plugin.errors import SparftError

NAN = float("nan")


def combined(*lists, rows=None):
    sources = [Source(f"s{i}", np.array(values)) for i, values in enumerate(lists)]
    return combine(sources, np.arange(len(lists[0])) if rows is None else np.array(rows))


def test_one_source_stands_as_it_is():
    found = combined([0.9, 0.8, 0.0])
    assert found.values.tolist() == [0.9, 0.8, 0.0]
    assert found.manifest == {
        "quantiles": False,
        "sources": [{"name": "s0", "known": 3, "count": 3}],
    }


def test_a_source_that_is_never_used_changes_nothing():
    found = combined([0.9, 0.8, 0.0], [0.1, NAN, 0.2])
    assert found.values.tolist() == [0.9, 0.8, 0.0]
    assert [entry["count"] for entry in found.manifest["sources"]] == [3, 0]
    assert not found.manifest["quantiles"]


def test_the_first_source_that_knows_a_prompt_wins_and_each_is_put_on_quantiles():
    found = combined([0.9, NAN, 0.7, NAN], [0.2, 0.1, 0.1, 0.1])
    assert found.source.tolist() == [0, 1, 0, 1]
    # Of two: 1/4 and 3/4. Of four with three equal: ranks 2, 2, 2, 4.
    assert found.values.tolist() == [0.75, 0.375, 0.25, 0.375]
    assert found.manifest["quantiles"]
    assert [(e["known"], e["count"]) for e in found.manifest["sources"]] == [(2, 2), (4, 2)]


def test_none_puts_a_prompt_in_the_middle_beside_a_source_of_any_scale():
    found = combined([0.99, 0.98, NAN], [0.5, 0.5, 0.5])
    assert found.values.tolist() == [0.75, 0.25, 0.5]


def test_the_manifest_entry_is_plain_json():
    source = Source("column:level", np.array([0.5, NAN]), {"lo": 1.0, "hi": 5.0})
    found = combine([source, Source("none", np.array([0.5, 0.5]))], np.arange(2))
    assert json.loads(json.dumps(found.manifest, allow_nan=False)) == found.manifest
    assert found.manifest["sources"][0] == {
        "name": "column:level", "known": 1, "count": 1, "lo": 1.0, "hi": 5.0
    }  # fmt: skip


def test_prompts_known_to_none_are_counted_and_the_mend_is_named():
    with pytest.raises(
        SparftError, match=r"of 2 prompts is not known, the first is row 7.*sparft diff.*'none'"
    ):
        combined([0.5, NAN, NAN], rows=[5, 7, 9])


@pytest.mark.parametrize("value", [1.1, -0.1, float("inf")])
def test_a_difficulty_outside_its_range_is_refused(value):
    with pytest.raises(SparftError, match=r"s0 gives row 1 the difficulty .*\[0, 1\]"):
        combined([0.5, value])


def test_sources_must_be_there_and_fit():
    with pytest.raises(SparftError, match="no source of difficulty"):
        combine([], np.arange(2))
    with pytest.raises(SparftError, match="s0 has 1 values for 2 prompts"):
        combine([Source("s0", np.array([0.5]))], np.arange(2))


def naive_quantile(values, x):
    """Share of values below, and half the share of equal ones."""
    return (sum(v < x for v in values) + sum(v == x for v in values) / 2) / len(values)


grades = st.one_of(st.integers(0, 4).map(lambda i: i / 4), st.just(NAN))


@given(st.lists(grades, max_size=30))
def test_quantiles_are_the_share_below_and_half_of_the_equal(values):
    known = [v for v in values if v == v]
    for value, quantile in zip(values, mid_rank_quantiles(np.array(values)), strict=True):
        if value == value:
            assert quantile == pytest.approx(naive_quantile(known, value), abs=1e-12)
            assert 0.0 < quantile < 1.0
        else:
            assert np.isnan(quantile)


@given(st.lists(st.tuples(grades, grades), min_size=1, max_size=20), st.randoms())
def test_the_order_of_the_rows_changes_no_difficulty(pairs, shuffler):
    order = list(range(len(pairs)))
    shuffler.shuffle(order)

    def run(pairs):
        first, second = zip(*pairs, strict=True)
        return combined(first, second, [0.5] * len(pairs))

    plain, shuffled = run(pairs), run([pairs[i] for i in order])
    assert shuffled.values.tolist() == plain.values[order].tolist()
    assert shuffled.manifest == plain.manifest


def scaled(labels, scale=None):
    values, used = scale_labels(np.array(labels), scale, "level", np.arange(len(labels)) + 10)
    return values.tolist(), used


def test_labels_within_zero_and_one_are_taken_as_they_are():
    assert scaled([0.25, 1.0]) == ([0.25, 1.0], (0.0, 1.0))
    assert scaled([0.3, 0.3]) == ([0.3, 0.3], (0.0, 1.0))


def test_other_labels_run_from_the_least_to_the_largest():
    assert scaled([1.0, 5.0, 2.0]) == ([0.0, 1.0, 0.25], (1.0, 5.0))
    values, _ = scaled([-1e308, 1e308, 0.0])
    assert values == [0.0, 1.0, 0.5]


def test_a_given_scale_may_run_backwards_as_a_pass_rate_does():
    assert scaled([1.0, 0.0, 0.25], (1.0, 0.0)) == ([0.0, 1.0, 0.75], (1.0, 0.0))
    assert scaled([1.0, 3.0], (1.0, 5.0)) == ([0.0, 0.5], (1.0, 5.0))


def test_a_missing_label_stays_unknown():
    values, _ = scaled([1.0, NAN, 3.0])
    assert values[::2] == [0.0, 1.0]
    assert np.isnan(values[1])


@pytest.mark.parametrize(
    ("labels", "scale", "message"),
    [
        ([1.0, 6.0], (1.0, 5.0), "level is 6 in row 11, off the scale 1:5"),
        ([1.0, -0.5], (1.0, 0.0), "level is -0.5 in row 11, off the scale 1:0"),
        ([3.0, 3.0], None, "is 3 in every row.*column:level@LO:HI"),
        ([NAN, NAN], None, "has no label in any row"),
        ([0.0, float("inf")], None, "is infinite in row 11"),
    ],
)
def test_labels_that_cannot_be_mapped_are_refused(labels, scale, message):
    with pytest.raises(SparftError, match=message):
        scaled(labels, scale)
