"""Each selector against its definition, written down a second time in the plainest way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin import SparftError
from sparft_plugin.plugins import build
from sparft_plugin.reduction.selectors import Members, Selector, check_needs
from sparft_plugin.reduction.selectors.d3 import D3
from sparft_plugin.reduction.selectors.difficulty_spread import DifficultySpread
from sparft_plugin.reduction.selectors.farthest_point import FarthestPoint
from sparft_plugin.reduction.selectors.limr import Limr, alignment
from sparft_plugin.reduction.selectors.medoid import Medoid
from sparft_plugin.reduction.selectors.nearest_centroid import NearestCentroid
from sparft_plugin.reduction.selectors.points import Points
from sparft_plugin.reduction.selectors.random_choice import RandomChoice


def rng(seed=0):
    return np.random.default_rng(seed)


def members(points, difficulties=None, curves=None):
    def floats(values):
        return None if values is None else np.array(values, dtype=float)

    return Members(floats(points), floats(difficulties), floats(curves))


def choose(selector, of, k):
    return selector.select(of, k, rng()).tolist()


def squared(a, b):
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))


def centroid(points):
    return [sum(column) / len(points) for column in zip(*points, strict=True)]


# Powers of two many rows, so that both means are exact and ties are ties for both.
tied_points = st.sampled_from([1, 2, 4, 8]).flatmap(
    lambda n: st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=n, max_size=n)
)


def naive_farthest_points(points, k):
    """The definition, one Python float at a time."""
    centre = centroid(points)
    chosen = [min(range(len(points)), key=lambda i: (squared(points[i], centre), i))]
    while len(chosen) < min(k, len(points)):
        left = [i for i in range(len(points)) if i not in chosen]
        chosen.append(
            max(left, key=lambda i: (min(squared(points[i], points[c]) for c in chosen), -i))
        )
    return chosen


@given(tied_points, st.integers(1, 8))
def test_farthest_point_equals_its_definition(points, k):
    assert choose(FarthestPoint(), members(points), k) == naive_farthest_points(points, k)


def test_farthest_point_equals_its_definition_away_from_ties():
    points = 50 + rng(5).normal(size=(60, 7))
    assert choose(FarthestPoint(), members(points), 30) == naive_farthest_points(
        points.tolist(), 30
    )


def test_medoid_equals_its_definition_and_a_tie_goes_to_the_nearest_to_the_centroid():
    """Two that are each other's nearest gain the same: 45 and 52 are such a pair here."""
    points = (50 + rng(5).normal(size=(60, 7))).tolist()
    centre = centroid(points)
    medoids = []
    while len(medoids) < 15:
        rest = set(range(60)) - set(medoids)
        medoids.append(
            min(
                rest,
                key=lambda row: (
                    round(total_distance(points, [*medoids, row]), 6),
                    squared(points[row], centre),
                ),
            )
        )
    assert choose(Medoid(), members(points), 15) == medoids
    assert 52 in medoids
    assert 45 not in medoids


def test_distances_are_those_of_differences_and_exactly_zero_between_equals():
    features = 1000 + rng(2).normal(size=(40, 33))
    features[7] = features[31]
    points = Points(features)
    expected = np.square(features - features[7]).sum(axis=1)
    np.testing.assert_allclose(points.squared_distances(7), expected, rtol=1e-10, atol=1e-10)
    assert np.flatnonzero(points.distances(7) == 0).tolist() == [7, 31]
    np.testing.assert_array_equal(
        points.subset(np.array([31, 5])).distances(7, points), points.distances(7)[[31, 5]]
    )


@given(tied_points, st.integers(1, 8))
def test_nearest_centroid_equals_its_definition(points, k):
    centre = centroid(points)
    order = sorted(range(len(points)), key=lambda i: (squared(points[i], centre), i))
    assert choose(NearestCentroid(), members(points), k) == order[:k]


def test_random_choice_is_uniform():
    alike, draw = members(np.zeros((5, 1))), rng()
    counts = np.bincount(
        np.concatenate([RandomChoice().select(alike, 2, draw) for _ in range(2000)])
    )
    assert counts == pytest.approx(800, abs=100)


def total_distance(points, chosen):
    """Sum over all points of the distance to the nearest chosen one."""
    return sum(min(math.dist(p, points[c]) for c in chosen) for p in points)


@given(
    st.lists(st.tuples(*[st.integers(-4, 4)] * 2), min_size=1, max_size=12),
    st.integers(1, 12),
)
def test_each_medoid_lowers_the_total_distance_most(points, k):
    chosen = choose(Medoid(), members(points), k)
    for step in range(len(chosen)):
        before, rest = chosen[:step], set(range(len(points))) - set(chosen[:step])
        best = min(total_distance(points, [*before, row]) for row in rest)
        assert total_distance(points, chosen[: step + 1]) == pytest.approx(best, abs=1e-6)


def test_a_medoid_of_a_sample_is_nearly_as_good_as_that_of_all():
    points = rng(6).normal(size=(3000, 2))
    exact, sampled = (
        total_distance(points.tolist(), choose(Medoid(sample=size), members(points), 5))
        for size in (3000, 300)
    )
    assert exact <= sampled < 1.05 * exact


def test_a_sample_that_lies_in_one_place_still_gives_the_count():
    heap = members([[0]] * 50 + [[1], [2]])
    assert len(set(choose(Medoid(sample=3), heap, 20))) == 20


@pytest.mark.parametrize(("pair", "inner"), [([10, 11], 5), ([11, 10], 6)])
def test_of_two_that_gain_the_same_the_nearer_to_the_centroid_is_the_medoid(pair, inner):
    line = members([[0], [0.5], [-0.5], [0.25], [-0.25], *[[place] for place in pair]])
    assert choose(Medoid(), line, 2) == [3, inner]


@given(tied_points, st.integers(1, 8), st.data())
def test_difficulty_spread_equals_its_definition(points, k, data):
    n = len(points)
    labels = data.draw(st.lists(st.sampled_from([0, 0.25, 0.5, 1]), min_size=n, max_size=n))
    centre, count = centroid(points), min(k, n)
    ranks = [math.floor(j * (n - 1) / (count - 1) + 0.5) for j in range(count)] if count > 1 else []
    wanted = [sorted(labels)[rank] for rank in ranks or [(n - 1) // 2]]
    expected = []
    for label in wanted:
        alike = [i for i in range(n) if labels[i] == label and i not in expected]
        expected.append(min(alike, key=lambda i: (squared(points[i], centre), i)))
    assert choose(DifficultySpread(), members(points, labels), k) == expected


def naive_d3(points, labels, k, group):
    """Distance to the nearest chosen times difficulty times 1 - d^group, and the ties in words."""
    centre = centroid(points)
    weights = [d * (1 - d**group) for d in labels]
    rows = range(len(points))
    chosen = [max(rows, key=lambda i: (weights[i], -squared(points[i], centre), -i))]
    while len(chosen) < min(k, len(points)):

        def key(i):
            gap = min(math.sqrt(squared(points[i], points[c])) for c in chosen)
            return weights[i] * gap, gap, weights[i], -i

        chosen.append(max((i for i in rows if i not in chosen), key=key))
    return chosen


@given(tied_points, st.integers(1, 8), st.integers(1, 4), st.data())
def test_d3_equals_its_definition(points, k, group, data):
    n = len(points)
    labels = data.draw(st.lists(st.sampled_from([0, 0.25, 0.5, 0.75, 1]), min_size=n, max_size=n))
    chosen = choose(D3(group=group), members(points, labels), k)
    assert chosen == naive_d3(points, labels, k, group)


def test_d3_prefers_hard_but_solvable_and_leaves_the_rest_for_last():
    line = members([[0], [1], [2], [3], [4]], [0.0, 0.1, 1.0, 0.8, 0.2])
    assert choose(D3(), line, 5) == [3, 1, 4, 0, 2]


def naive_alignment(curves):
    def mean(visit):
        seen = [curve[visit] for curve in curves if not math.isnan(curve[visit])]
        return sum(seen) / len(seen)

    def score(curve):
        seen = [visit for visit, reward in enumerate(curve) if not math.isnan(reward)]
        if not seen:
            return math.nan
        room = sum((1 - mean(visit)) ** 2 for visit in seen)
        return 1 - sum((curve[v] - mean(v)) ** 2 for v in seen) / room if room else 0.0

    return [score(curve) for curve in curves]


rewards = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1), st.just(math.nan))


@given(
    st.integers(1, 5).flatmap(
        lambda visits: st.lists(
            st.lists(rewards, min_size=visits, max_size=visits), min_size=1, max_size=8
        )
    )
)
def test_alignment_equals_its_definition(curves):
    # A mean within rounding of 1 leaves a quotient of rounding errors.
    def near_one(column):
        seen = [r for r in column if not math.isnan(r)]
        return seen and 0 < 1 - sum(seen) / len(seen) < 1e-3

    if not any(near_one(column) for column in zip(*curves, strict=True)):
        np.testing.assert_allclose(alignment(np.array(curves)), naive_alignment(curves), atol=1e-6)


def test_a_prompt_seen_only_when_all_were_right_scores_as_always_solved():
    curves = np.array([[1.0, np.nan], [1.0, 0.5], [np.nan, np.nan]])
    np.testing.assert_array_equal(alignment(curves), [0.0, 1.0, np.nan])


def test_limr_measures_against_the_curve_of_the_run_where_it_is_given():
    curves = np.array([[0.0, 0.0], [1.0, 1.0]])
    run = np.array([0.9, 0.9])
    members = Members(np.zeros((2, 1)), curves=curves, mean_curve=run)
    assert alignment(curves, run).tolist() == pytest.approx([-80.0, 0.0])
    assert Limr().select(members, 1, np.random.default_rng(0)).tolist() == [1]


def test_limr_takes_the_best_aligned_then_those_never_seen():
    nan = math.nan
    curves = [[nan, nan], [0.0, 0.0], [0.2, 0.8], [0.1, 0.9], [nan, nan], [0.5, 0.6]]
    order = choose(Limr(), members([[9], [0], [0], [0], [1], [0]], None, curves), 6)
    assert order == [2, 5, 3, 1, 4, 0]


@pytest.mark.parametrize(("name", "option"), [("medoid", "sample"), ("d3", "group")])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "many", None])
def test_an_option_out_of_its_range_is_refused_by_name(name, option, value):
    message = f"{option} of the selector '{name}' must be a whole number of at least 1, not "
    with pytest.raises(SparftError, match=message):
        build("selector", name, {option: value})


def test_a_need_says_which_option_meets_it():
    with pytest.raises(SparftError) as refused:
        check_needs("limr", Limr, {"difficulties"})
    assert str(refused.value) == (
        "the selector 'limr' needs the rewards of a logged run; add --difficulty rollouts:DIR."
    )
    with pytest.raises(SparftError, match="needs a difficulty for every prompt; .*column:NAME"):
        check_needs("d3", D3(), set())
    check_needs("farthest_point", FarthestPoint, set())


def test_a_strangers_misspelt_need_is_named():
    class Misspelt(Selector):
        needs = frozenset({"difficulty"})

        def select(self, members, k, rng):
            return np.arange(min(k, len(members)))

    with pytest.raises(SparftError, match="'difficulty'; did you mean 'difficulties'"):
        check_needs("misspelt", Misspelt, {"difficulties"})
