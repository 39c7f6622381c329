"""Cosines of embeddings, in double precision so that equal texts compare as equal."""

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


def cosines(units: NDArray[np.float64], other_units: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosine of every row of one matrix with every row of the other, both from `unit_rows`.

    Parameters
    ----------
    units : float64 (n, d)
    other_units : float64 (m, d)

    Returns
    -------
    float64 (n, m) in [-1, 1], up to rounding
    """
    # Not a BLAS product: at the size of a step its threads gain little on idle cores, and wait ten
    # times as long as the sum takes when the cores are busy with rollouts.
    table: NDArray[np.float64] = np.einsum("nd,md->nm", units, other_units)
    return table
