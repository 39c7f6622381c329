"""The core of a reduction: features, clusters and representatives of prompts sorted by id."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.reduction.budget import allocate, fit_tokens, most_prompts, parse_budget
from sparft_plugin.reduction.choose import choose, members_of
from sparft_plugin.reduction.choose_clusters import choose_clusters
from sparft_plugin.reduction.cluster import cluster
from sparft_plugin.reduction.config import AUTO, ReductionConfig
from sparft_plugin.reduction.engines.base import Engine
from sparft_plugin.reduction.explain import Pool, distances_to_kept
from sparft_plugin.reduction.features import build_features
from sparft_plugin.reduction.selectors.base import Members, Selector
from sparft_plugin.reduction.threads import one_thread
from sparft_plugin.reduction.timing import Timing
from sparft_plugin.reduction.vectors.base import Vectors


@dataclass(frozen=True, eq=False)
class Candidates:
    """What may be kept: n prompts in the order of their sorted ids."""

    ids: Sequence[str]
    """Distinct ids, sorted."""
    rows: NDArray[np.int64]
    """Row of each prompt in the source, shape (n,)."""
    vectors: Vectors
    """One vector per prompt."""
    difficulties: NDArray[np.float64] | None = None
    """In [0, 1], shape (n,)."""
    curves: NDArray[np.float64] | None = None
    """Solve rate at each visit of a logged run, shape (n, visits)."""
    tokens: NDArray[np.int64] | None = None
    """Tokens of each prompt, shape (n,), where the budget counts them."""


def keep(
    candidates: Candidates,
    selector: Selector,
    config: ReductionConfig,
    engine: Engine,
    timing: Timing,
) -> tuple[Pool, dict[str, Any]]:
    """Cluster, and choose representatives of every cluster.

    Parameters
    ----------
    candidates : Candidates
        n prompts, at least as many as clusters.
    selector : Selector
        The rule that chooses.
    config : ReductionConfig
        Options.
    engine : Engine
        Where sums and assignment run.
    timing : Timing
        Takes the time of the parts.

    Returns
    -------
    Pool
        All prompts with their arms, and which were kept.
    dict
        ``shortfall``, ``silhouette`` and ``tokens`` for the manifest.

    Raises
    ------
    SparftError
        If there are too few distinct prompts, the selector breaks its contract or no prompt fits
        the budget.
    """
    with timing("features"):
        features, _ = build_features(
            candidates.vectors,
            candidates.difficulties,
            components=config.pca_components,
            difficulty_weight=config.difficulty_weight,
            engine=engine,
        )
    with one_thread():
        with timing("cluster"):
            clusters, curve = _clusters(features, config)
            arms = cluster(features, clusters, config.seed, engine)
        with timing("select"):
            members = members_of(arms, clusters)
            chosen, shortfall = _choose(candidates, features, members, selector, config)
        with timing("explain"):
            distances = distances_to_kept(features, members, chosen)
    kept = np.concatenate(chosen)
    known = candidates.difficulties
    pool = Pool(
        ids=candidates.ids,
        rows=candidates.rows,
        features=features,
        arms=arms,
        difficulties=np.full(len(arms), np.nan) if known is None else known,
        kept=kept,
        distances=distances,
    )
    tokens = None if candidates.tokens is None else int(candidates.tokens[kept].sum())
    return pool, {"shortfall": shortfall, "silhouette": curve, "tokens": tokens}


def _clusters(
    features: NDArray[np.float32], config: ReductionConfig
) -> tuple[int, list[dict[str, Any]] | None]:
    if config.clusters == AUTO:
        return choose_clusters(features, config.seed)
    return int(config.clusters), None


def _mean_curve(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the prompts that were visited; 0 where none was."""
    seen = ~np.isnan(curves)
    mean: NDArray[np.float64] = np.where(seen, curves, 0).sum(axis=0) / np.maximum(
        seen.sum(axis=0), 1
    )
    return mean


def _choose(
    candidates: Candidates,
    features: NDArray[np.float32],
    members: Sequence[NDArray[np.int64]],
    selector: Selector,
    config: ReductionConfig,
) -> tuple[list[NDArray[np.int64]], int]:
    """Chosen rows of each arm, and how many prompts small arms fell short of their equal share."""
    budget = None if config.budget is None else parse_budget(config.budget)
    tokens = candidates.tokens
    if budget is not None and tokens is not None:
        most = most_prompts(tokens, int(budget.amount))
        # One that alone costs more than all may can never be kept.
        members = [rows[tokens[rows] <= budget.amount] for rows in members]
    sizes = np.array([len(rows) for rows in members], dtype=np.int64)
    difficulties, curves = candidates.difficulties, candidates.curves
    mean_curve = None if curves is None else _mean_curve(curves)

    def members_at(rows: NDArray[np.int64]) -> Members:
        return Members(
            features[rows].astype(np.float64),
            None if difficulties is None else difficulties[rows],
            None if curves is None else curves[rows],
            mean_curve,
        )

    def of(total: int) -> list[NDArray[np.int64]]:
        quotas = allocate(sizes, total)
        return choose(config.selector, selector, members_at, members, quotas, config.seed)

    choice: Callable[[int], list[NDArray[np.int64]]] = of
    total = len(members) * config.per_cluster
    if budget is not None and tokens is not None:
        choice = _beginnings(of(most), sizes) if selector.nested else of
        total = fit_tokens(choice, tokens, int(budget.amount), most)
    elif budget is not None:
        total = int(budget.amount) if budget.unit == "prompts" else budget.prompts(len(features))
    shares = int(np.maximum(0, total // len(members) - sizes).sum())
    return choice(total), max(shares, total - len(features))


def _beginnings(
    chosen: Sequence[NDArray[np.int64]], sizes: NDArray[np.int64]
) -> Callable[[int], list[NDArray[np.int64]]]:
    """Smaller choices of a nested selector, which need no selection of their own."""

    def of(total: int) -> list[NDArray[np.int64]]:
        quotas = allocate(sizes, total)
        return [rows[:quota] for rows, quota in zip(chosen, quotas, strict=True)]

    return of
