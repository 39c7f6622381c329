"""k-means, with cluster numbers that depend on the prompts and not on their order."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError
from sparft_plugin.reduction.engines.base import Engine

RESTARTS = 3
BATCH = 4096
FEW_ROWS = 16_384
"""Prompts up to which full k-means is cheap; its clusters are a little tighter."""
MANY = 512
"""Clusters from which faiss takes over."""
ASSIGN_ROWS = 65_536


@dataclass(frozen=True, eq=False)
class Assign:
    """Name the nearest centre of a block of features."""

    centres: NDArray[np.float32]
    """Shape (K, d)."""

    def __call__(self, block: tuple[int, NDArray[np.float32]]) -> tuple[int, NDArray[np.int64]]:
        """First row of the block, and the centre of each of its rows; the lowest of equal ones."""
        start, rows = block
        squared = np.square(self.centres).sum(axis=1) - 2 * (rows @ self.centres.T)
        return start, squared.argmin(axis=1)


def cluster(
    features: NDArray[np.float32],
    clusters: int,
    seed: int,
    engine: Engine,
) -> NDArray[np.int64]:
    """Partition prompts into clusters, none of them empty.

    Mini-batch k-means (Sculley 2010) by scikit-learn, the best of 3 k-means++ starts; up to 16,384
    prompts full k-means, and from 512 clusters on k-means by faiss. Arm 0 is the largest cluster;
    of equal ones, the one of the first row, which holds the smallest id.

    Parameters
    ----------
    features : ndarray of float32, shape (n, d)
        One vector per prompt, rows in the order of their sorted ids.
    clusters : int >= 1
        Number of clusters K.
    seed : int
        Seed of the starts and of the mini-batches.
    engine : Engine
        Where prompts are assigned to their centres.

    Returns
    -------
    ndarray of int64, shape (n,)
        Arm of each prompt, in 0 .. K - 1.

    Raises
    ------
    SparftError
        If the features have fewer than K distinct points, or faiss is needed and not installed.
    """
    centres = centres_of(features, clusters, seed)
    labels = np.empty(len(features), dtype=np.int64)
    starts = range(0, len(features), ASSIGN_ROWS)
    blocks = ((start, features[start : start + ASSIGN_ROWS]) for start in starts)
    for start, found in engine.map(Assign(centres), blocks):
        labels[start : start + len(found)] = found
    if len(np.unique(labels)) < clusters:
        labels = _with_none_empty(features, centres)
    _check_all_used(labels, features, clusters)
    return _relabel(labels, clusters)


def centres_of(features: NDArray[np.float32], clusters: int, seed: int) -> NDArray[np.float32]:
    """Centres of k-means, shape (K, d)."""
    if clusters >= MANY:
        return _faiss_centres(features, clusters, seed)
    from sklearn.cluster import KMeans, MiniBatchKMeans

    options = {"n_init": RESTARTS, "random_state": seed}
    if len(features) <= FEW_ROWS:
        model = KMeans(clusters, algorithm="lloyd", **options)
    else:
        model = MiniBatchKMeans(clusters, batch_size=BATCH, compute_labels=False, **options)
    fitted = _fitted(model, features)
    return np.asarray(fitted.cluster_centers_, dtype=np.float32)


def _faiss_centres(features: NDArray[np.float32], clusters: int, seed: int) -> NDArray[np.float32]:
    try:
        import faiss
    except ImportError as error:
        raise SparftError(
            f"clusters={clusters} is many, and k-means of {MANY} or more needs the package "
            f"faiss-cpu; pip install 'sparft-plugin[faiss]', or set clusters<{MANY}."
        ) from error
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        model = faiss.Kmeans(
            features.shape[1], clusters, niter=20, seed=seed % 2**31, min_points_per_centroid=1
        )
        model.train(np.ascontiguousarray(features))
    finally:
        faiss.omp_set_num_threads(threads)
    return np.asarray(model.centroids, dtype=np.float32).reshape(clusters, -1)


def _with_none_empty(
    features: NDArray[np.float32], centres: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Let full k-means move the centres that no prompt is nearest to."""
    from sklearn.cluster import KMeans

    model = KMeans(len(centres), init=centres, n_init=1, max_iter=20, algorithm="lloyd")
    return np.asarray(_fitted(model, features).labels_, dtype=np.int64)


def _fitted(model: Any, features: NDArray[np.float32]) -> Any:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # scikit-learn warns of too few distinct points; the error below says it with a mend.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(features)


def _check_all_used(
    labels: NDArray[np.int64], features: NDArray[np.float32], clusters: int
) -> None:
    found = len(np.unique(labels))
    if found < clusters:
        points = len(np.unique(features, axis=0))
        most = min(found, points) if points < clusters else found
        raise SparftError(
            f"the {len(labels)} prompts fall on only {points} distinct points and {found} "
            f"clusters, fewer than clusters={clusters}; set clusters<={most}."
        )


def _relabel(labels: NDArray[np.int64], clusters: int) -> NDArray[np.int64]:
    """Number clusters by size, then by their first row, which holds their smallest id."""
    sizes = np.bincount(labels, minlength=clusters)
    _, first = np.unique(labels, return_index=True)
    order = np.lexsort((first, -sizes))
    arm = np.empty(clusters, dtype=np.int64)
    arm[order] = np.arange(clusters)
    return arm[labels]
