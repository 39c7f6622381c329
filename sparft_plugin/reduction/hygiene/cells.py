"""Cells of similar prompts, so that near-duplicates need not be sought everywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.reduction.hygiene.ranked import RankedVectors
from sparft_plugin.reduction.vectors import one_thread

PER_CELL = 1000
"""Prompts to a cell, on average."""
LOOKUPS = 2
"""Cells that each prompt belongs to: those of the centres with the largest cosine."""
_SAMPLE = 50
_CHUNK = 8192
_TINY = 1e-12


def assign_cells(ranked: RankedVectors) -> NDArray[np.int32]:
    """Put each prompt into the ``LOOKUPS`` cells whose centres have the largest cosine.

    Centres come from MiniBatchKMeans over the first 50 ranks for each cell; ranks follow ids, which
    are content hashes, so this is a random sample that does not depend on the order of the rows.
    Everything runs in one thread and in blocks of fixed ranks, so equal prompts get equal cells.

    Parameters
    ----------
    ranked : RankedVectors
        Unit vectors of n >= 2 prompts, in the order of their sorted ids.

    Returns
    -------
    ndarray of int32, shape (n, 2)
        Cells of each rank, in 0 .. max(2, n // 1000) - 1.
    """
    from sklearn.cluster import MiniBatchKMeans

    count = max(LOOKUPS, len(ranked) // PER_CELL)
    with one_thread():
        model = MiniBatchKMeans(count, random_state=0, n_init=1, batch_size=4096, max_iter=20)
        model.fit(ranked[: _SAMPLE * count])
        centres = np.asarray(model.cluster_centers_, dtype=np.float32)
        # By distance, the shortest centres would draw most prompts into a few huge cells.
        centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), _TINY)
        parts = []
        for start in range(0, len(ranked), _CHUNK):
            parts.append(_nearest(ranked[start : start + _CHUNK], centres))
            ranked.forget()
    return np.concatenate(parts)


def _nearest(block: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.int32]:
    away = -block @ centres.T
    nearest = np.argpartition(away, LOOKUPS - 1, axis=1)[:, :LOOKUPS]
    return nearest.astype(np.int32)
