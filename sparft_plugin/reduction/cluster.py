"""k-means, with cluster numbers that depend on the prompts and not on their order."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError

RESTARTS = 10


def cluster(
    features: NDArray[np.float64], ids: Sequence[str], clusters: int, seed: int
) -> NDArray[np.int64]:
    """Partition prompts into clusters, none of them empty.

    Arm 0 is the largest cluster; of equal ones, the one that holds the smallest id comes first.

    Parameters
    ----------
    features : ndarray of float64, shape (n, d)
        One vector per prompt, rows in the order of their sorted ids.
    ids : sequence of str, length n
        Distinct prompt ids.
    clusters : int >= 1
        Number of clusters K.
    seed : int
        Seed of the k-means++ starts; the best of 10 starts is kept.

    Returns
    -------
    ndarray of int64, shape (n,)
        Arm of each prompt, in 0 .. K - 1.

    Raises
    ------
    SparftError
        If the features have fewer than K distinct points.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # scikit-learn warns of too few distinct points; the error below says it with a mend.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = KMeans(clusters, n_init=RESTARTS, random_state=seed, algorithm="lloyd")
        labels = np.asarray(model.fit_predict(features), dtype=np.int64)
    found = len(np.unique(labels))
    if found < clusters:
        raise SparftError(
            f"the {len(ids)} prompts fall on only {found} distinct points, fewer than "
            f"clusters={clusters}; set clusters<={found}."
        )
    return _relabel(labels, ids)


def _relabel(labels: NDArray[np.int64], ids: Sequence[str]) -> NDArray[np.int64]:
    members: dict[int, list[str]] = {}
    for label, name in zip(labels.tolist(), ids, strict=True):
        members.setdefault(label, []).append(name)
    order = sorted(members, key=lambda label: (-len(members[label]), min(members[label])))
    arm = np.empty(len(order), dtype=np.int64)
    arm[order] = np.arange(len(order))
    arms: NDArray[np.int64] = arm[labels]
    return arms
