"""How well what is kept stands for the whole: distances, and counts by arm and by difficulty."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.reduction.clusters import members_of

BINS = 20
BLOCK = 1 << 20
"""Distances in memory at once, per thread."""


@dataclass(frozen=True, eq=False)
class Pool:
    """The whole pool behind a reduction, rows in the order of sorted ids."""

    ids: Sequence[str]
    """Prompt ids, n of them."""
    rows: NDArray[np.int64]
    """Row of each prompt in the source, shape (n,)."""
    features: NDArray[np.float32]
    """What was clustered, shape (n, d); columns 0 and 1 are the best flat map."""
    arms: NDArray[np.int64]
    """Arm of each prompt, shape (n,)."""
    difficulties: NDArray[np.float64]
    """Difficulty of each prompt, shape (n,); NaN where unknown."""
    kept: NDArray[np.int64]
    """Rows of this pool that were kept, shape (m,), by arm."""
    distances: NDArray[np.float32]
    """Distance of each prompt to the nearest kept one of its arm, shape (n,)."""

    def random_coverage(self, draws: int = 20, seed: int = 0) -> dict[str, Any]:
        """``draws``, and ``radius`` and ``mean_distance`` of each, of as many random prompts."""
        members = members_of(self.arms, int(self.arms.max()) + 1)
        quotas = np.bincount(self.arms[self.kept], minlength=len(members))
        found: dict[str, Any] = {"draws": draws, "radius": [], "mean_distance": []}
        for draw in range(draws):
            rng = np.random.default_rng((seed, draw))
            each = zip(members, quotas, strict=True)
            chosen = [rows[rng.permutation(len(rows))[:quota]] for rows, quota in each]
            distances = distances_to_kept(self.features, members, chosen)
            found["radius"].append(float(distances.max()))
            found["mean_distance"].append(float(distances.mean(dtype=np.float64)))
        return found


@dataclass(frozen=True)
class Arm:
    """One arm of a reduction."""

    arm: int
    words: list[str]
    """Most distinctive words; empty without texts."""
    pool: int
    """Prompts that it was chosen from."""
    kept: int
    mean_difficulty: float | None
    """Of the kept prompts; None where unknown."""
    radius: float | None
    """Largest distance of a prompt to the nearest kept one; None where none is kept."""
    mean_distance: float | None


def distances_to_kept(
    features: NDArray[np.float32],
    members: Sequence[NDArray[np.int64]],
    chosen: Sequence[NDArray[np.int64]],
) -> NDArray[np.float32]:
    """Euclidean distance of every prompt to the nearest chosen of its arm; infinite without one."""
    from scipy.spatial.distance import cdist

    distances = np.full(len(features), np.inf, dtype=np.float32)

    def one(rows: NDArray[np.int64], kept: NDArray[np.int64]) -> None:
        if len(kept):
            for some in np.array_split(rows, len(rows) * len(kept) // BLOCK + 1):
                distances[some] = cdist(features[some], features[kept]).min(axis=1, initial=np.inf)

    with ThreadPoolExecutor() as threads:
        list(threads.map(one, members, chosen))
    return distances


def describe_arms(pool: Pool, words: Sequence[Sequence[str]]) -> list[Arm]:
    """Size, difficulty and coverage of each arm."""
    clusters = int(pool.arms.max()) + 1
    sizes = np.bincount(pool.arms, minlength=clusters)
    kept = np.bincount(pool.arms[pool.kept], minlength=clusters)
    radius = np.zeros(clusters)
    np.maximum.at(radius, pool.arms, pool.distances)
    means = np.bincount(pool.arms, pool.distances, clusters) / np.maximum(sizes, 1)
    difficulty = pool.difficulties[pool.kept]
    return [
        Arm(
            arm=arm,
            words=list(words[arm]) if words else [],
            pool=int(sizes[arm]),
            kept=int(kept[arm]),
            mean_difficulty=_mean(difficulty[pool.arms[pool.kept] == arm]),
            radius=_finite(radius[arm]),
            mean_distance=_finite(means[arm]),
        )
        for arm in range(clusters)
    ]


def coverage(pool: Pool) -> dict[str, float | None]:
    """Largest and mean distance to the nearest kept prompt of the same arm.

    The unit is the standard deviation of the semantic block.
    """
    return {
        "radius": _finite(pool.distances.max()),
        "mean_distance": _finite(pool.distances.mean(dtype=np.float64)),
    }


def difficulty_histogram(pool: Pool) -> dict[str, list[Any]] | None:
    """Prompts in 20 equal bins of difficulty, in the pool and kept; None where it is unknown."""
    if np.isnan(pool.difficulties).any():
        return None
    edges = np.linspace(0, 1, BINS + 1)
    return {
        "edges": [round(float(edge), 6) for edge in edges],
        "pool": np.histogram(pool.difficulties, edges)[0].tolist(),
        "kept": np.histogram(pool.difficulties[pool.kept], edges)[0].tolist(),
    }


def _mean(values: NDArray[np.float64]) -> float | None:
    return None if not len(values) or np.isnan(values).any() else float(values.mean())


def _finite(value: np.floating) -> float | None:
    return float(value) if np.isfinite(value) else None
