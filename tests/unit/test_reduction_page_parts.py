"""Texts, map and charts of a reduction's page."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.report import reduction_text
from sparft_plugin.report.reduction_charts import curve, histogram, strip
from sparft_plugin.report.reduction_map import arm_colours, cluster_map


@given(st.text(), st.integers(2, 50), st.booleans())
def test_shortened_texts_fit_and_can_be_written(text, limit, lines):
    short = reduction_text.shorten(text, limit, lines=lines)
    assert len(short) <= limit
    assert short.encode("utf-8")[:0] == b""
    assert lines or "\n" not in short
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x09\x0b-\x1f]", short)


def test_a_short_text_is_kept_and_a_long_one_ends_at_a_word():
    assert reduction_text.shorten("two  apples\n\nand pears", 50) == "two apples and pears"
    assert reduction_text.shorten("two\n\napples", 50, lines=True) == "two\napples"
    assert reduction_text.shorten("two apples and pears", 14) == "two apples…"
    assert reduction_text.shorten("x" * 99, 10) == "x" * 9 + "…"
    assert reduction_text.shorten("a\n" * 99, 700, lines=True) == "\n".join("a" * 12) + "…"


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(30, 7473, "0.4 %"), (1, 1, "100 %"), (0, 5, "0 %"), (1, 20000, "0.01 %"), (0, 0, "0 %")],
)
def test_shares_have_the_digits_that_tell_something(part, whole, text):
    assert reduction_text.share(part, whole).replace("\u00a0", " ") == text


def test_a_hundred_arms_have_a_hundred_colours():
    assert len(set(arm_colours(range(100)).values())) == 100


def test_the_map_keeps_proportions_and_stays_inside_its_box():
    points = [
        {"x": x, "y": y, "arm": 0, "kept": False, "text": ""} for x, y in [(0, 0), (4, 0), (4, 2)]
    ]
    drawn = cluster_map(points)
    a, b, c = drawn.arms[0].pool
    assert (b.x - a.x) / (b.y - c.y) == pytest.approx(2.0, abs=0.01)
    assert all(0 < dot.x < drawn.width and 0 < dot.y < drawn.height for dot in (a, b, c))


@pytest.mark.parametrize("place", [(0.0, 0.0), (-7.5, 1e9)])
def test_points_in_one_place_are_drawn_in_the_middle(place):
    point = {"x": place[0], "y": place[1], "arm": 3, "kept": True, "text": "a"}
    drawn = cluster_map([point, point])
    assert [(dot.x, dot.y) for dot in drawn.arms[0].kept] == [(360.0, drawn.height / 2)] * 2


def test_bars_are_as_high_as_their_share():
    drawn = histogram({"edges": [0.0, 0.5, 1.0], "pool": [30, 10], "kept": [1, 1]})
    (first, second) = drawn.bars
    assert first.pool / second.pool == pytest.approx(3, rel=0.01)
    assert first.kept == second.kept == pytest.approx(first.pool * 2 / 3, abs=0.1)
    assert (drawn.pool_mean, drawn.kept_mean) == ("0.38", "0.50")


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [
        (0.5, "smaller than all 3 random subsets; 50 % below their median"),
        (1.05, "smaller than 1 of 3 random subsets; 5 % above their median"),
        (2.0, "larger than all 3 random subsets; 100 % above their median"),
    ],
)
def test_coverage_is_judged_against_the_draws(ours, verdict):
    drawn = strip("radius", ours, [0.9, 1.0, 1.1])
    assert drawn.verdict.replace("\u00a0", " ") == verdict
    assert [x for x, _, _ in drawn.draws] == sorted(x for x, _, _ in drawn.draws)
    assert (drawn.ours < drawn.draws[0][0]) == (ours < 0.9)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=5), st.floats(0, 1e6))
def test_a_strip_holds_any_values(draws, ours):
    drawn = strip("radius", ours, draws)
    assert all(0 <= x <= drawn.width for x in [drawn.ours, *(x for x, _, _ in drawn.draws)])
    assert len(drawn.ticks) <= 12


def test_the_curve_rings_the_number_that_was_used():
    drawn = curve([{"clusters": 5, "score": 0.1}, {"clusters": 3, "score": 0.3}], 3)
    assert [(label, used) for _, _, label, used in drawn.dots] == [
        ("3 clusters: silhouette 0.300", True),
        ("5 clusters: silhouette 0.100", False),
    ]
    assert drawn.dots[0][1] < drawn.dots[1][1]


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=6))
def test_a_curve_holds_any_scores(scores):
    drawn = curve([{"clusters": i + 2, "score": s} for i, s in enumerate(scores)], 2)
    assert all(0 <= y <= drawn.bottom for _, y, _, _ in drawn.dots)
