"""Features, clusters, quotas and coverage against small independent oracles."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from sparft_plugin import SparftError
from sparft_plugin.reduction.budget import allocate, fit_tokens, most_prompts, parse_budget
from sparft_plugin.reduction.clusters import choose_clusters, cluster
from sparft_plugin.reduction.config import ReductionConfig
from sparft_plugin.reduction.coverage import distances_to_kept
from sparft_plugin.reduction.features import build_features
from sparft_plugin.reduction.keep import Candidates, Timing, keep
from sparft_plugin.reduction.selectors.farthest_point import FarthestPoint
from sparft_plugin.reduction.vectors import take_vectors


def rng(seed=0):
    return np.random.default_rng(seed)


def distances(z):
    return np.linalg.norm(z[:, None] - z[None], axis=2)


def features(embeddings, difficulty=None, components=3, weight=1.0):
    vectors = take_vectors(embeddings, np.arange(len(embeddings)), len(embeddings))
    return build_features(vectors, difficulty, components=components, difficulty_weight=weight)


@pytest.mark.parametrize(("n", "d", "components"), [(50, 8, 3), (50, 8, 32), (5, 20, 32)])
def test_features_have_the_geometry_of_truncated_svd_and_standardised_difficulty(n, d, components):
    embeddings = rng().normal(size=(n, d)).astype(np.float32)
    difficulty = rng(1).uniform(size=n)
    z = features(embeddings, difficulty, components, weight=2.0)

    kept = min(components, n - 1, d)
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    u, s, _ = np.linalg.svd(unit - unit.mean(0, dtype=np.float64), full_matrices=False)
    semantic = (u * s)[:, :kept]
    semantic = semantic / np.sqrt((semantic**2).sum() / n)
    standard = (difficulty - difficulty.mean()) / difficulty.std()
    expected = np.column_stack([semantic, 2.0 * standard])

    assert (z.shape, z.dtype) == ((n, kept + 1), np.float32)
    np.testing.assert_allclose(distances(z), distances(expected), atol=2e-3)
    assert z[:, :kept].var(axis=0).sum() == pytest.approx(1.0, abs=1e-3)
    assert z[:, kept].std() == pytest.approx(2.0)


def test_equal_embeddings_give_zero_and_not_amplified_rounding():
    one = rng().normal(size=5).astype(np.float32)
    noise = 1e-8 * rng(1).normal(size=(20, 5)).astype(np.float32)
    assert not features(one + noise).any()


def test_one_row_has_finite_features():
    assert features(np.ones((1, 4)), np.array([0.3]), 8).tolist() == [[0.0, 0.0]]


def test_components_come_by_variance_with_fixed_signs():
    embeddings = rng().normal(size=(400, 3)) * [0.1, 0.6, 0.3] + [3.0, 0.0, 0.0]
    scores = features(embeddings, components=2)
    assert np.corrcoef(scores[:, 0], embeddings[:, 1])[0, 1] > 0.95
    assert np.corrcoef(scores[:, 1], embeddings[:, 2])[0, 1] > 0.95


def test_threads_and_the_place_in_memory_change_no_bit_of_a_feature():
    unaligned = np.frombuffer(b"x" + rng().normal(size=(300, 64)).tobytes(), offset=1)
    with threadpool_limits(1):
        alone = features(unaligned.reshape(300, 64), components=8)
    assert (features(unaligned.reshape(300, 64).copy(), components=8) == alone).all()


def test_clusters_are_numbered_by_size_then_by_first_row():
    points = np.array([[9.1], [9.0], [5.1], [5.0], [0.2], [0.1], [0.0]], dtype=np.float32)
    for seed in range(5):
        assert cluster(points, 3, seed).tolist() == [1, 1, 2, 2, 0, 0, 0]


def test_no_cluster_is_empty_even_where_mini_batches_would_leave_one():
    points = np.zeros((200, 2), dtype=np.float32)
    points[:5] = [[1, 0], [2, 0], [3, 0], [4, 0], [5, 0]]
    sizes = np.bincount(cluster(points, 6, 0))
    assert sorted(sizes.tolist()) == [1, 1, 1, 1, 1, 195]


def test_too_few_distinct_points_name_the_mend():
    points = np.repeat([[0.0], [1.0], [2.0]], 4, axis=0).astype(np.float32)
    with pytest.raises(SparftError, match="12 prompts fall on only 3 distinct.*set clusters<=3"):
        cluster(points, 5, 0)


def test_many_clusters_are_found_by_faiss():
    pytest.importorskip("faiss", reason="pip install 'sparft-plugin[faiss]' runs it")
    centres = rng().normal(size=(512, 3)) * 100
    points = np.repeat(centres, 4, axis=0).astype(np.float32)
    points += 0.01 * rng(1).normal(size=points.shape).astype(np.float32)
    first, second = (cluster(points, 512, 3) for _ in range(2))
    assert (first == second).all()
    assert len(np.unique(first)) == 512
    inside = [np.linalg.norm(points[first == a] - points[first == a].mean(0)) for a in range(512)]
    assert np.median(inside) < 1


def test_auto_finds_the_number_of_well_separated_blobs():
    blobs = rng().normal(size=(8, 3)) * 50
    points = (blobs[rng(1).integers(8, size=400)] + rng(2).normal(size=(400, 3))).astype(np.float32)
    best, curve = choose_clusters(points, 0)
    assert best == 8
    assert [point["clusters"] for point in curve] == [4, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64]
    assert max(curve, key=lambda point: point["score"])["clusters"] == 8


def test_auto_refuses_what_cannot_be_told_apart():
    with pytest.raises(SparftError, match="clusters=auto needs at least 8 prompts"):
        choose_clusters(np.zeros((7, 2), dtype=np.float32), 0)


@given(st.integers(0, 10**6))
def test_distance_to_the_nearest_kept_prompt_of_the_arm_equals_its_definition(seed):
    points = rng(seed).normal(size=(30, 3)).astype(np.float32)
    arms = rng(seed).integers(3, size=30)
    members = [np.flatnonzero(arms == arm) for arm in range(3)]
    chosen = [rows[:2] for rows in members]
    found = distances_to_kept(points, members, chosen)
    for row in range(30):
        gaps = [np.linalg.norm(points[row] - points[c]) for c in chosen[arms[row]]]
        assert found[row] == pytest.approx(min(gaps), abs=1e-3)


def one_at_a_time(sizes, total):
    """The rule as its docstring says it."""
    shares = [total // len(sizes) + (arm < total % len(sizes)) for arm in range(len(sizes))]
    quotas = [min(size, share) for size, share in zip(sizes, shares, strict=True)]
    while sum(quotas) < min(total, sum(sizes)):
        left = [size - quota for size, quota in zip(sizes, quotas, strict=True)]
        quotas[left.index(max(left))] += 1
    return quotas


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(0, 100))
def test_quotas_equal_taking_one_at_a_time_from_the_largest(sizes, total):
    assert allocate(np.array(sizes), total).tolist() == one_at_a_time(sizes, total)


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        (500, 500, "prompts"),
        ("500", 500, "prompts"),
        ("2%", 0.02, "share"),
        ("0.5 %", 0.005, "share"),
        ("50000 tokens", 50_000, "tokens"),
    ],
)
def test_a_budget_is_a_count_a_share_or_tokens(text, amount, unit):
    assert parse_budget(text) == (pytest.approx(amount), unit)


@pytest.mark.parametrize("text", [0, "0%", "101%", "1.5", "-3", "ten", "5 MB", True, ""])
def test_any_other_budget_is_refused(text):
    with pytest.raises(SparftError, match="budget must be"):
        parse_budget(text)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.integers(1, 400))
def test_tokens_allow_as_many_prompts_as_fit(tokens, limit):
    costs = np.array(tokens)
    costs = costs[costs <= limit]
    if not len(costs):
        problem = f"a budget of {limit} tokens is too small .* shortest has {min(tokens)}, raise"
        with pytest.raises(SparftError, match=problem):
            most_prompts(np.array(tokens), limit)
        return
    most = most_prompts(costs, limit)
    subsets = itertools.accumulate(sorted(costs.tolist()))
    assert most == sum(cost <= limit for cost in subsets)
    total = fit_tokens(lambda total: [np.arange(total)], costs, limit, most)
    assert costs[:total].sum() <= limit
    assert total == len(costs) or costs[: total + 1].sum() > limit


def candidates(tokens):
    """Prompts on a line; the first one is the nearest to the centroid."""
    places = np.array([0.0, *np.linspace(-1, 1, len(tokens) - 1)])
    directions = np.stack([np.cos(places), np.sin(places)], axis=1)
    rows = np.arange(len(tokens))
    vectors = take_vectors(directions, rows, len(tokens))
    return Candidates([f"{i:02}" for i in rows], rows, vectors, tokens=np.array(tokens))


def kept(tokens, budget, selector):
    config = ReductionConfig(clusters=1, budget=f"{budget} tokens")
    pool, choice = keep(candidates(tokens), selector, config, Timing())
    assert choice["tokens"] == sum(tokens[row] for row in pool.kept)
    return pool.kept.tolist()


def test_a_prompt_longer_than_the_budget_is_passed_over():
    assert kept([60, 12, 15], 30, FarthestPoint()) == [1, 2]
    assert kept([60, 12, 15], 14, FarthestPoint()) == [1]
    with pytest.raises(SparftError, match="a budget of 11 tokens is too small .* has 12, raise"):
        kept([60, 12, 15], 11, FarthestPoint())


@dataclass
class Counting(FarthestPoint):
    asked: list[int] = field(default_factory=list)

    def select(self, members, k, rng):
        self.asked.append(k)
        return super().select(members, k, rng)


class OfAnySize(Counting):
    nested = False


def test_a_nested_selector_is_asked_once_for_a_budget_of_tokens():
    tokens = [9, 1, 8, 2, 7, 3, 6, 4, 5, 1, 9, 2]
    once, often = Counting(), OfAnySize()
    assert kept(tokens, 30, once) == kept(tokens, 30, often)
    # The eight shortest cost 24, the nine shortest 31.
    assert once.asked == [8]
    assert len(often.asked) > 3
