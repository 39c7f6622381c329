"""The core of a reduction: features, clusters and representatives of prompts sorted by id."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError
from sparft_plugin.reduction.budget import allocate, fit_tokens, most_prompts, parse_budget
from sparft_plugin.reduction.clusters import choose_clusters, cluster, members_of
from sparft_plugin.reduction.config import AUTO, ReductionConfig
from sparft_plugin.reduction.coverage import Pool, distances_to_kept
from sparft_plugin.reduction.features import build_features
from sparft_plugin.reduction.selectors.base import Members, Selector, mean_curve
from sparft_plugin.reduction.vectors import Vectors, one_thread

Choice = Callable[[int], list[NDArray[np.int64]]]
"""From a number of prompts to the rows of each arm that are kept, in the order of choice."""


@dataclass
class Timing:
    """A stop-watch: ``with timing("embed"): ...``."""

    seconds: dict[str, float] = field(default_factory=dict)
    """Wall-clock seconds by part; a part that runs twice adds up."""

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Add the time of a block."""
        start = time.perf_counter()
        yield
        spent = self.seconds.get(part, 0.0) + time.perf_counter() - start
        self.seconds[part] = round(spent, 4)


@dataclass(frozen=True, eq=False)
class Candidates:
    """What may be kept: n prompts in the order of their sorted ids."""

    ids: Sequence[str]
    """Distinct ids, sorted."""
    rows: NDArray[np.int64]
    """Row of each prompt in the source, shape (n,)."""
    vectors: Vectors
    """Unit vectors, shape (n, d)."""
    difficulties: NDArray[np.float64] | None = None
    """In [0, 1], shape (n,)."""
    curves: NDArray[np.float64] | None = None
    """Solve rate at each visit of a logged run, shape (n, visits)."""
    tokens: NDArray[np.int64] | None = None
    """Tokens of each prompt, shape (n,), where the budget counts them."""
    whole: int | None = None
    """Prompts that a share of all counts; None is n."""


def keep(
    candidates: Candidates, selector: Selector, config: ReductionConfig, timing: Timing
) -> tuple[Pool, dict[str, Any]]:
    """Cluster, and choose representatives of every cluster.

    Returned are all prompts with their arms and which were kept; and ``shortfall``, ``silhouette``
    and ``tokens`` for the manifest.
    """
    with timing("features"):
        features = build_features(
            candidates.vectors,
            candidates.difficulties,
            components=config.pca_components,
            difficulty_weight=config.difficulty_weight,
        )
    with one_thread():
        with timing("cluster"):
            clusters, curve = config.clusters, None
            if clusters == AUTO:
                clusters, curve = choose_clusters(features, config.seed)
            arms = cluster(features, clusters := int(clusters), config.seed)
        with timing("select"):
            members = members_of(arms, clusters)
            chosen, shortfall = _choose(candidates, features, members, selector, config)
        with timing("explain"):
            distances = distances_to_kept(features, members, chosen)
    kept, known = np.concatenate(chosen), candidates.difficulties
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


def _choose(
    candidates: Candidates,
    features: NDArray[np.float32],
    members: Sequence[NDArray[np.int64]],
    selector: Selector,
    config: ReductionConfig,
) -> tuple[list[NDArray[np.int64]], int]:
    """Chosen rows of each arm, and how many prompts small arms fell short of their equal share."""
    budget = None if config.budget is None else parse_budget(config.budget)
    total, tokens = len(members) * config.per_cluster, candidates.tokens
    limit = 0 if budget is None else int(budget.amount)
    if tokens is not None:
        # One that alone costs more than all may can never be kept.
        members = [rows[tokens[rows] <= limit] for rows in members]
    sizes = np.array([len(rows) for rows in members], dtype=np.int64)
    of = _chooser(candidates, features, members, sizes, selector, config)
    if tokens is not None:
        most = most_prompts(tokens, limit)
        of = _beginnings(of(most), sizes) if selector.nested else of
        total = fit_tokens(of, tokens, limit, most)
    elif budget is not None:
        whole = budget.prompts(candidates.whole or len(features))
        total = int(budget.amount) if budget.unit == "prompts" else whole
    shares = int(np.maximum(0, total // len(members) - sizes).sum())
    return of(total), max(shares, total - len(features))


def _chooser(
    candidates: Candidates,
    features: NDArray[np.float32],
    members: Sequence[NDArray[np.int64]],
    sizes: NDArray[np.int64],
    selector: Selector,
    config: ReductionConfig,
) -> Choice:
    """Let the selector choose in every cluster, side by side, each with chance of its own."""
    difficulties, curves = candidates.difficulties, candidates.curves
    run = None if curves is None else mean_curve(curves)

    def one(arm: int, quota: int) -> NDArray[np.int64]:
        rows = members[arm]
        if not quota:
            return rows[:0]
        seen = Members(
            features[rows].astype(np.float64),
            None if difficulties is None else difficulties[rows],
            None if curves is None else curves[rows],
            run,
        )
        rng = np.random.default_rng((config.seed, arm))
        chosen = np.asarray(selector.select(seen, quota, rng))
        distinct = chosen.shape == (quota,) and len(np.unique(chosen)) == quota
        exist = chosen.dtype.kind in "iu" and ((chosen >= 0) & (chosen < len(rows))).all()
        if not (distinct and exist):
            raise SparftError(
                f"the selector '{config.selector}' must choose {quota} distinct rows of "
                f"{len(rows)} but gave {chosen.tolist()}; mend or replace that plugin."
            )
        return rows[chosen]

    def of(total: int) -> list[NDArray[np.int64]]:
        with ThreadPoolExecutor() as threads:
            return list(threads.map(one, range(len(members)), allocate(sizes, total).tolist()))

    return of


def _beginnings(chosen: Sequence[NDArray[np.int64]], sizes: NDArray[np.int64]) -> Choice:
    """Smaller choices of a nested selector, which need no selection of their own."""

    def of(total: int) -> list[NDArray[np.int64]]:
        quotas = allocate(sizes, total)
        return [rows[:quota] for rows, quota in zip(chosen, quotas, strict=True)]

    return of
