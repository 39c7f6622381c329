"""Features, clusters and selectors against small independent oracles."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sparft_plugin import SparftError
from sparft_plugin.reduction.cluster import cluster
from sparft_plugin.reduction.features import build_features, principal_components
from sparft_plugin.reduction.pipeline import allocate
from sparft_plugin.reduction.select import FarthestPoint, RandomChoice


def rng(seed=0):
    return np.random.default_rng(seed)


def distances(z):
    return np.linalg.norm(z[:, None] - z[None], axis=2)


@pytest.mark.parametrize(("n", "d", "components"), [(50, 8, 3), (50, 8, 32), (5, 20, 32)])
def test_features_have_the_geometry_of_truncated_svd_and_standardised_difficulty(n, d, components):
    embeddings = rng().normal(size=(n, d)).astype(np.float32)
    difficulty = rng(1).uniform(size=n)
    z = build_features(embeddings, difficulty, components=components, difficulty_weight=2.0)

    kept = min(components, n - 1, d)
    u, s, _ = np.linalg.svd(embeddings - embeddings.mean(0, dtype=np.float64), full_matrices=False)
    semantic = (u * s)[:, :kept]
    semantic = semantic / np.sqrt((semantic**2).sum() / n)
    standard = (difficulty - difficulty.mean()) / difficulty.std()
    expected = np.column_stack([semantic, 2.0 * standard])

    assert z.shape == (n, kept + 1)
    np.testing.assert_allclose(distances(z), distances(expected), atol=1e-5)
    assert z[:, :kept].var(axis=0).sum() == pytest.approx(1.0)
    assert z[:, kept].std() == pytest.approx(2.0)


def test_scale_of_the_embeddings_does_not_change_the_features():
    embeddings = rng().normal(size=(20, 5))
    options = {"components": 3, "difficulty_weight": 1.0}
    np.testing.assert_allclose(
        build_features(embeddings, None, **options),
        build_features(100 * embeddings, None, **options),
        atol=1e-12,
    )


@pytest.mark.parametrize(("difficulty", "weight"), [(None, 1.0), (np.arange(20.0), 0.0)])
def test_no_difficulty_or_no_weight_means_semantics_only(difficulty, weight):
    z = build_features(
        rng().normal(size=(20, 5)), difficulty, components=3, difficulty_weight=weight
    )
    assert z.shape == (20, 3)


def test_equal_embeddings_give_zero_and_not_amplified_rounding():
    one = rng().normal(size=5).astype(np.float32)
    noise = 1e-8 * rng(1).normal(size=(20, 5)).astype(np.float32)
    z = build_features(one + noise, None, components=3, difficulty_weight=1.0)
    assert not z.any()


def test_one_row_has_finite_features():
    z = build_features(np.ones((1, 4)), np.array([0.3]), components=8, difficulty_weight=1.0)
    assert z.tolist() == [[0.0, 0.0]]


def test_components_come_by_variance_with_fixed_signs():
    embeddings = rng().normal(size=(200, 3)) * [1.0, 9.0, 4.0]
    scores = principal_components(embeddings, 2)
    assert np.corrcoef(scores[:, 0], embeddings[:, 1])[0, 1] > 0.99
    assert np.corrcoef(scores[:, 1], embeddings[:, 2])[0, 1] > 0.99


def test_clusters_are_numbered_by_size_then_by_smallest_id():
    points = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [9.0], [9.1]])
    ids = ["g", "f", "e", "d", "c", "b", "a"]
    for seed in range(5):
        assert cluster(points, ids, 3, seed).tolist() == [0, 0, 0, 2, 2, 1, 1]


def test_too_few_distinct_points_name_the_mend():
    points = np.repeat([[0.0], [1.0], [2.0]], 4, axis=0)
    with pytest.raises(SparftError, match="12 prompts fall on only 3 distinct.*set clusters<=3"):
        cluster(points, [str(i) for i in range(12)], 5, 0)


small_sets = arrays(
    np.float64,
    st.tuples(st.integers(1, 12), st.integers(1, 3)),
    elements=st.integers(-3, 3).map(float),
)


@settings(deadline=None)
@given(small_sets, st.integers(0, 15), st.sampled_from([FarthestPoint(), RandomChoice()]))
def test_every_selector_gives_existing_distinct_rows_of_the_exact_count(features, k, selector):
    chosen = selector.select(features, k, rng())
    assert chosen.dtype == np.int64
    assert len(chosen) == min(k, len(features)) == len(set(chosen.tolist()))
    assert all(0 <= i < len(features) for i in chosen)


def naive_farthest_points(points, k):
    """The definition, one Python float at a time."""
    centre = [sum(column) / len(points) for column in zip(*points, strict=True)]

    def gap(a, b):
        return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))

    chosen = [min(range(len(points)), key=lambda i: (gap(points[i], centre), i))]
    while len(chosen) < min(k, len(points)):
        left = [i for i in range(len(points)) if i not in chosen]
        chosen.append(max(left, key=lambda i: (min(gap(points[i], points[c]) for c in chosen), -i)))
    return chosen


# Powers of two many rows, so that both means are exact and ties are ties for both.
@given(
    st.sampled_from([1, 2, 4, 8]).flatmap(
        lambda n: st.lists(
            st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=n, max_size=n
        )
    ),
    st.integers(1, 8),
)
def test_farthest_point_equals_its_definition(points, k):
    chosen = FarthestPoint().select(np.array(points, dtype=float), k, rng())
    assert chosen.tolist() == naive_farthest_points(points, k)


def test_farthest_point_is_within_twice_the_best_radius():
    points = rng(3).normal(size=(12, 2))
    gaps = distances(points)

    def radius(centres):
        return gaps[:, list(centres)].min(axis=1).max()

    best = min(radius(c) for c in itertools.combinations(range(12), 3))
    assert radius(FarthestPoint().select(points, 3, rng())) <= 2 * best


def test_farthest_point_starts_at_the_centre_and_then_takes_the_ends():
    line = np.array([[0.0], [4.0], [5.0], [6.0], [11.0]])
    assert FarthestPoint().select(line, 3, rng()).tolist() == [2, 4, 0]


def test_random_choice_follows_its_generator():
    features = np.zeros((50, 1))
    draws = [RandomChoice().select(features, 10, rng(seed)).tolist() for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize(
    ("sizes", "per_cluster", "quotas"),
    [
        ([30, 20, 10], 5, [5, 5, 5]),
        ([30, 20, 2], 5, [8, 5, 2]),
        ([9, 9, 2], 5, [7, 6, 2]),
        ([7, 6, 1], 5, [7, 6, 1]),
        ([3, 2, 1], 5, [3, 2, 1]),
    ],
)
def test_small_clusters_give_all_and_the_largest_refill(sizes, per_cluster, quotas):
    assert allocate(np.array(sizes), per_cluster).tolist() == quotas


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(1, 12))
def test_quotas_add_up_and_never_exceed_a_cluster(sizes, per_cluster):
    quotas = allocate(np.array(sizes), per_cluster)
    assert quotas.sum() == min(sum(sizes), len(sizes) * per_cluster)
    for quota, size in zip(quotas, sizes, strict=True):
        assert min(size, per_cluster) <= quota <= size
