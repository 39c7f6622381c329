"""``--clusters auto``: the number of clusters that separates a sample best."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError
from sparft_plugin.reduction.cluster import centres_of

CANDIDATES = (4, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64)
SAMPLE = 4096


def choose_clusters(
    features: NDArray[np.float32], seed: int
) -> tuple[int, list[dict[str, float | int]]]:
    """Try several numbers of clusters and take the one of the best mean silhouette.

    The silhouette (Rousseeuw 1987) of a point is (b - a) / max(a, b): a its mean distance to its
    own cluster, b to the nearest other one; 1 is well apart, 0 is between two. It is measured on
    the first 4,096 rows, which are a random sample because ids are hashes.

    Parameters
    ----------
    features : ndarray of float32, shape (n, d)
        Rows in the order of their sorted ids.
    seed : int
        Seed of k-means.

    Returns
    -------
    int
        The number of clusters; the smallest of equally good ones.
    list of dict
        The curve: ``clusters`` and ``score`` in [-1, 1] of each that was tried.

    Raises
    ------
    SparftError
        If the sample is too small or too uniform to tell.
    """
    from sklearn.metrics import silhouette_score

    sample = features[:SAMPLE]
    curve: list[dict[str, float | int]] = []
    for clusters in CANDIDATES:
        if clusters > len(sample) // 2:
            break
        centres = centres_of(sample, clusters, seed)
        squared = np.square(centres).sum(axis=1) - 2 * (sample @ centres.T)
        labels = squared.argmin(axis=1)
        if len(np.unique(labels)) < 2:
            continue
        score = float(silhouette_score(sample.astype(np.float64), labels))
        curve.append({"clusters": clusters, "score": round(score, 6)})
    if not curve:
        raise SparftError(
            f"clusters=auto needs at least {2 * CANDIDATES[0]} prompts on different points, and "
            f"there are {len(features)} prompts; set clusters to a number."
        )
    best = max(curve, key=lambda point: point["score"])
    return int(best["clusters"]), curve
