"""k-means, with cluster numbers that depend on the prompts and not on their order."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError, import_extra

BATCH = 4096
FULL, ROUNDS = 2**20, 10
"""Prompts times clusters up to which full k-means is cheap, and its rounds: tighter in less time
than mini-batches."""
MANY = 512
"""Clusters from which faiss takes over."""
CANDIDATES = (4, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64)
"""Numbers of clusters that ``auto`` tries."""
SAMPLE = 4096


def cluster(features: NDArray[np.float32], clusters: int, seed: int) -> NDArray[np.int64]:
    """Arm of each row of the features (n, d): k-means, with no cluster empty.

    By scikit-learn: ten rounds from one k-means++ start; where prompts times clusters are above
    2^20 in mini-batches (Sculley 2010), and from 512 clusters on by faiss. Arm 0 is the largest
    cluster; of equal ones, the one of the first row, which holds the smallest id. A SparftError
    says if there are fewer distinct points than clusters.
    """
    centroids = _centroids(features, clusters, seed)
    labels = _nearest(features, centroids)
    if len(np.unique(labels)) < clusters:
        labels = _with_none_empty(features, centroids)
    _, first, sizes = np.unique(labels, return_index=True, return_counts=True)
    if len(sizes) < clusters:
        raise _too_uniform(features, clusters, len(sizes))
    arm = np.empty(clusters, dtype=np.int64)
    arm[np.lexsort((first, -sizes))] = np.arange(clusters)
    return arm[labels]


def choose_clusters(
    features: NDArray[np.float32], seed: int
) -> tuple[int, list[dict[str, float | int]]]:
    """Try several numbers of clusters and take the one of the best mean silhouette.

    The silhouette (Rousseeuw 1987) of a point is (b - a) / max(a, b): a its mean distance to its
    own cluster, b to the nearest other one. It is measured on the first 4,096 rows, which are a
    random sample because ids are hashes. Returned are the number, the smallest of equally good
    ones, and the curve: ``clusters`` and ``score`` of each.
    """
    from sklearn.metrics import silhouette_score

    sample = features[:SAMPLE]
    curve: list[dict[str, float | int]] = []
    for clusters in CANDIDATES:
        if clusters > len(sample) // 2:
            break
        labels = _nearest(sample, _centroids(sample, clusters, seed))
        if len(np.unique(labels)) > 1:
            score = float(silhouette_score(sample.astype(np.float64), labels))
            curve.append({"clusters": clusters, "score": round(score, 6)})
    if not curve:
        raise SparftError(
            f"clusters=auto needs at least {2 * CANDIDATES[0]} prompts on different points, and "
            f"there are {len(features)} prompts; set clusters to a number."
        )
    best = max(curve, key=lambda point: point["score"])
    return int(best["clusters"]), curve


def members_of(arms: NDArray[np.int64], clusters: int) -> list[NDArray[np.int64]]:
    """Rows of each cluster, increasing."""
    order = np.argsort(arms, kind="stable")
    return np.split(order, np.searchsorted(arms[order], np.arange(1, clusters)))


def _centroids(features: NDArray[np.float32], clusters: int, seed: int) -> NDArray[np.float64]:
    """Centroids of k-means, shape (K, d)."""
    if clusters >= MANY:
        return _faiss_centroids(features, clusters, seed)
    from sklearn.cluster import KMeans, MiniBatchKMeans

    once = {"n_clusters": clusters, "n_init": 1, "random_state": seed}
    if len(features) * clusters <= FULL:
        model = KMeans(**once, max_iter=ROUNDS)
    else:
        model = MiniBatchKMeans(**once, batch_size=BATCH, compute_labels=False)
    # scikit-learn casts blocks of float32 to float64 again and again while it seeks a start.
    return np.asarray(_fitted(model, features.astype(np.float64)).cluster_centers_)


def _faiss_centroids(
    features: NDArray[np.float32], clusters: int, seed: int
) -> NDArray[np.float64]:
    import_extra("faiss", f"clusters={clusters}, as every number from {MANY} on,", "faiss")
    import faiss

    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        model = faiss.Kmeans(
            features.shape[1], clusters, niter=20, seed=seed % 2**31, min_points_per_centroid=1
        )
        model.train(np.ascontiguousarray(features))
    finally:
        faiss.omp_set_num_threads(threads)
    return np.asarray(model.centroids, dtype=np.float64).reshape(clusters, -1)


def _nearest(features: NDArray[np.float32], centroids: NDArray[np.float64]) -> NDArray[np.int64]:
    """Number of the nearest centroid of each row; the lowest of equal ones."""
    from sklearn.metrics import pairwise_distances_argmin

    labels = pairwise_distances_argmin(features, centroids.astype(np.float32))
    return np.asarray(labels, dtype=np.int64)


def _with_none_empty(
    features: NDArray[np.float32], centroids: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Let full k-means move the centroids that no prompt is nearest to."""
    from sklearn.cluster import KMeans

    model = KMeans(len(centroids), init=centroids, n_init=1, max_iter=2 * ROUNDS)
    return np.asarray(_fitted(model, features.astype(np.float64)).labels_, dtype=np.int64)


def _fitted(model: Any, features: NDArray[np.float64]) -> Any:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # scikit-learn warns of too few distinct points; the error below says it with a mend.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(features)


def _too_uniform(features: NDArray[np.float32], clusters: int, found: int) -> SparftError:
    points = len(np.unique(features, axis=0))
    return SparftError(
        f"the {len(features)} prompts fall on only {points} distinct points and {found} "
        f"clusters, fewer than clusters={clusters}; set clusters<={min(found, points)}."
    )
