"""Clustering features: what a prompt says, and how hard it is, on scales that are stated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# Below this share of the mean squared norm, a spread is float32 rounding and no difference.
_ROUNDING = 1e-12


def build_features(
    embeddings: NDArray[np.floating],
    difficulties: FloatArray | None,
    *,
    components: int,
    difficulty_weight: float,
) -> FloatArray:
    """Attach the difficulty to the principal components of the embeddings.

    z_i = [ PCA(e_i) / s ; w (d_i - mean d) / std d ] with s such that the semantic block has total
    variance 1. PCA comes first, else one number among hundreds is lost. SPaRFT (arXiv 2508.05015)
    concatenates the two; the scales are ours.

    Parameters
    ----------
    embeddings : ndarray of float, shape (n, d)
        One vector per prompt.
    difficulties : ndarray of float64, shape (n,), optional
        In [0, 1]; None leaves the difficulty out.
    components : int >= 1
        Principal components kept, at most min(n - 1, d).
    difficulty_weight : float >= 0
        Standard deviation of the difficulty column; 0 leaves it out.

    Returns
    -------
    ndarray of float64, shape (n, c) or (n, c + 1)
    """
    semantic = _unit_total_variance(embeddings, components)
    if difficulties is None or difficulty_weight == 0:
        return semantic
    return np.column_stack([semantic, difficulty_weight * _standardised(difficulties)])


def principal_components(embeddings: NDArray[np.floating], components: int) -> FloatArray:
    """Project on the directions of largest variance, the largest first.

    Signs are fixed: the largest weight of every direction is positive.

    Parameters
    ----------
    embeddings : ndarray of float, shape (n, d)
        One vector per row.
    components : int >= 1
        Directions to keep; at most min(n - 1, d) exist, and one is always returned.

    Returns
    -------
    ndarray of float64, shape (n, c)
        Centred scores, c = max(1, min(components, n - 1, d)).
    """
    vectors = np.asarray(embeddings, dtype=np.float64)
    rows, width = vectors.shape
    kept = max(1, min(components, rows - 1, width))
    centred = vectors - vectors.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    directions = directions[:, ::-1][:, :kept]
    largest = np.abs(directions).argmax(axis=0)
    directions = directions * np.sign(directions[largest, np.arange(kept)])
    scores: FloatArray = centred @ directions
    return scores


def _unit_total_variance(embeddings: NDArray[np.floating], components: int) -> FloatArray:
    scores = principal_components(embeddings, components)
    total = float(scores.var(axis=0).sum())
    scale = float(np.square(embeddings, dtype=np.float64).sum(axis=1).mean())
    if total <= _ROUNDING * scale:
        return np.zeros_like(scores)
    scaled: FloatArray = scores / np.sqrt(total)
    return scaled


def _standardised(values: FloatArray) -> FloatArray:
    centred = values - values.mean()
    spread = float(centred.std())
    standard: FloatArray = centred / spread if spread > 0 else np.zeros_like(centred)
    return standard
