"""Clustering features: what a prompt says, and how hard it is, on scales that are stated.

Sums run over whole numbers, which add up to the same whatever the order: so the order of rows, the
cut into parts, the number of threads and the engine change no bit of a feature.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.reduction.engines.base import Engine, Local
from sparft_plugin.reduction.threads import one_thread
from sparft_plugin.reduction.vectors.base import Part, Vectors

_VECTOR_UNIT = 2.0**16
_DIRECTION_UNIT = 2.0**20
# A block's sums of products stay below 2**53, where float64 still counts whole numbers:
# 2**20 rows times 2**16 times 2**16 at most, and a part has fewer rows.


@dataclass(frozen=True, eq=False)
class Projection:
    """The directions of largest variance, scaled so that the kept variances add up to 1."""

    directions: NDArray[np.float64]
    """Whole numbers, shape (width, c), the largest variance first."""
    offset: NDArray[np.float64]
    """Mean of the projected vectors before scaling, shape (c,)."""
    scale: float
    """Factor after the mean is taken off; 0 if all vectors are equal."""

    def __call__(self, part: Part) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Project a part: positions (b,) and semantic features (b, c)."""
        positions, block = part.load()
        # Whole numbers below 2**16 * 2**20 * sqrt(width): exact in float64.
        projected = whole_numbers(block) @ self.directions
        return positions, ((projected - self.offset) * self.scale).astype(np.float32)


def whole_numbers(block: NDArray[np.float32]) -> NDArray[np.float64]:
    """Unit vectors in steps of 2**-16, as whole numbers, shape (b, width)."""
    whole = block.astype(np.float64)
    whole *= _VECTOR_UNIT
    return np.rint(whole, out=whole)


def moments(part: Part) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Exact sums of a part's vectors (width,) and of their outer products (width, width)."""
    whole = whole_numbers(part.load()[1])
    return whole.sum(axis=0).astype(np.int64), (whole.T @ whole).astype(np.int64)


def fit_projection(vectors: Vectors, components: int, engine: Engine) -> Projection:
    """Principal components by the exact second moments of the vectors.

    Signs are fixed: the largest weight of every direction is positive.

    Parameters
    ----------
    vectors : Vectors
        n vectors of one width.
    components : int >= 1
        Directions to keep; at most min(n - 1, width) exist, and one is always returned.
    engine : Engine
        Where the sums run.
    """
    from scipy.linalg import eigh

    first = np.zeros(vectors.width, dtype=np.int64)
    second = np.zeros((vectors.width, vectors.width), dtype=np.int64)
    for sums, products in engine.map(moments, vectors.parts):
        first += sums
        second += products
    rows, width = len(vectors), vectors.width
    kept = max(1, min(components, rows - 1, width))
    mean = first / rows
    covariance = second / rows - np.outer(mean, mean)
    with one_thread():
        variances, found = eigh(covariance, subset_by_index=(width - kept, width - 1))
    variances, found = variances[::-1], found[:, ::-1]
    largest = np.abs(found).argmax(axis=0)
    found = found * np.sign(found[largest, np.arange(kept)])
    directions = np.rint(found * _DIRECTION_UNIT)
    with one_thread():
        offset = mean @ directions
    total = float(variances.sum())
    # Rounding to whole numbers leaves a variance of 1/12 per dimension where there is none.
    scale = 1 / (np.sqrt(total) * _DIRECTION_UNIT) if total > width / 6 else 0.0
    return Projection(directions, offset, scale)


def build_features(
    vectors: Vectors,
    difficulties: NDArray[np.float64] | None,
    *,
    components: int,
    difficulty_weight: float,
    engine: Engine | None = None,
) -> tuple[NDArray[np.float32], Projection]:
    """Attach the difficulty to the principal components of the embeddings.

    z_i = [ PCA(e_i) / s ; w (d_i - mean d) / std d ] with s such that the semantic block has total
    variance 1. PCA comes first, else one number among hundreds is lost. SPaRFT (arXiv 2508.05015)
    concatenates the two; the scales are ours, and so is the norm 1 of every e_i.

    Parameters
    ----------
    vectors : Vectors
        One vector of norm 1 per prompt, n in all.
    difficulties : ndarray of float64, shape (n,), optional
        In [0, 1]; None leaves the difficulty out.
    components : int >= 1
        Principal components kept, at most min(n - 1, width).
    difficulty_weight : float >= 0
        Standard deviation of the difficulty column; 0 leaves it out.
    engine : Engine, optional
        Where the sums run; None is this process.

    Returns
    -------
    ndarray of float32, shape (n, c) or (n, c + 1)
        The features; columns 0 and 1 are the best flat map of the corpus.
    Projection
        How a vector becomes its semantic block.
    """
    engine = engine or Local()
    projection = fit_projection(vectors, components, engine)
    semantic = projection.directions.shape[1]
    with_difficulty = difficulties is not None and difficulty_weight > 0
    features = np.empty((len(vectors), semantic + with_difficulty), dtype=np.float32)
    for positions, block in engine.map(projection, vectors.parts):
        features[positions, :semantic] = block
    if difficulties is not None and with_difficulty:
        features[:, semantic] = difficulty_weight * _standardised(difficulties)
    return features, projection


def _standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = values - values.mean()
    spread = float(centred.std())
    standard: NDArray[np.float64] = centred / spread if spread > 0 else np.zeros_like(centred)
    return standard
