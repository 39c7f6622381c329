"""Clustering features: what a prompt says, and how hard it is, on scales that are stated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.reduction.vectors import Vectors, blocks, one_thread

ROUNDING = 1e-10
"""Variance of float32 unit vectors that are equal but for rounding."""


def build_features(
    vectors: Vectors,
    difficulties: NDArray[np.float64] | None,
    *,
    components: int,
    difficulty_weight: float,
) -> NDArray[np.float32]:
    """Attach the difficulty to the principal components of the embeddings.

    z_i = [ PCA(e_i) / s ; w (d_i - mean d) / std d ] with s such that the semantic block has total
    variance 1. PCA comes first, else one number among hundreds is lost. SPaRFT (arXiv 2508.05015)
    concatenates the two; the scales are ours, and so is the norm 1 of every e_i.

    Rows stand in the order of their sorted ids, and sums run in that order, in one thread. Of the
    components at most min(n - 1, d) exist; a weight of 0 leaves the difficulty out. The features
    have shape (n, c) or (n, c + 1); columns 0 and 1 are the best flat map of the corpus.
    """
    with one_thread():
        mean, directions = _principal(vectors, components)
        offset, width = (mean @ directions).astype(np.float32), directions.shape[1]
        with_difficulty = difficulties is not None and difficulty_weight > 0
        features = np.empty((len(vectors), width + with_difficulty), dtype=np.float32)
        for place, block in blocks(vectors):
            features[place, :width] = block @ directions.astype(np.float32) - offset
    if difficulties is not None and with_difficulty:
        centred = difficulties - difficulties.mean()
        spread = float(centred.std())
        features[:, width] = difficulty_weight * centred / spread if spread > 0 else 0.0
    return features


def _principal(
    vectors: Vectors, components: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (d,), and the directions of largest variance (d, c) scaled to a total variance of 1.

    Signs are fixed: the largest weight of every direction is positive.
    """
    from scipy.linalg import eigh

    rows, width = vectors.shape
    mean = sum(block.sum(axis=0, dtype=np.float64) for _, block in blocks(vectors)) / rows
    products = np.zeros((width, width))
    for _, block in blocks(vectors):
        centred = (block - mean).astype(np.float32)
        products += centred.T @ centred
    kept = max(1, min(components, rows - 1, width))
    variances, directions = eigh(products / rows, subset_by_index=(width - kept, width - 1))
    variances, directions = variances[::-1], directions[:, ::-1]
    largest = np.abs(directions).argmax(axis=0)
    directions = directions * np.sign(directions[largest, np.arange(kept)])
    total = float(variances.sum())
    return mean, directions * (total**-0.5 if total > ROUNDING else 0.0)
