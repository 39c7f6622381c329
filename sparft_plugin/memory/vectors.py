"""Directions of embeddings, in double precision so that equal texts compare as equal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Scale every row to length 1; a zero row stays zero, its cosine with anything is 0.

    Parameters
    ----------
    vectors : float32 (n, d)

    Returns
    -------
    float64 (n, d)
    """
    rows = vectors.astype(np.float64)
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    rows /= np.where(lengths > 0, lengths, 1.0)[:, None]
    return rows
