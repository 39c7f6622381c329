"""Cosines of embeddings, in double precision so that equal texts compare as equal."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

# Cosines are compared after rounding. Float32 embeddings cannot tell directions apart below 1e-7,
# but parallel ones come out unequal at 1e-16: in between, "ties go to the older" is exact.
COSINE_DECIMALS = 9
# Squared lengths that single precision holds with all its digits.
TINY, HUGE = 1e-25, 1e35


def unit_rows(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Scale every row to length 1; a zero row stays zero, its cosine with anything is 0.

    Parameters
    ----------
    vectors : float32 or float16 (n, d)

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

    Not a BLAS product: its last bits would depend on the number of threads.

    Parameters
    ----------
    units : float64 (n, d)
    other_units : float64 (m, d)

    Returns
    -------
    float64 (n, m) in [-1, 1], up to rounding
    """
    table: NDArray[np.float64] = np.einsum("nd,md->nm", units, other_units)
    return table


def rough_cosines(
    units: NDArray[np.float32], other_units: NDArray[np.float32]
) -> NDArray[np.float32]:
    """As `cosines`, twelve times as fast, off by at most `rough_error`.

    One BLAS thread: a second one gains 2 ms on idle cores, and is waited for much longer where
    rollouts keep the cores busy.
    """
    with _blas().limit(limits=1, user_api="blas"):
        table: NDArray[np.float32] = units @ other_units.T
    return table


def rough_error(dimension: int) -> float:
    """Bound of the error of `rough_cosines`, rounding to `COSINE_DECIMALS` included.

    d products and sums in any order err by d u, u = 2^-24, and the rounding of both units to
    float32 by 2 u and more in second order (Higham, Accuracy and Stability of Numerical
    Algorithms, section 3.1).
    """
    return (dimension + 8) * 2.0**-24 + 10.0**-COSINE_DECIMALS


def best_cosines(
    vectors: NDArray[np.floating], others: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Cosine of every row with the row of another matrix that it is most like.

    As the row maxima of `cosines`, but only what could be the maximum in single precision is
    computed in double.

    Parameters
    ----------
    vectors : float32 or float16 (n, d)
    others : float32 or float16 (m, d), m >= 1

    Returns
    -------
    float64 (n,) in [-1, 1], up to rounding
    """
    units = unit_rows(vectors)
    single = others.astype(np.float32, copy=False)
    with np.errstate(over="ignore"):
        squares = np.einsum("md,md->m", single, single)
    zero = squares == 0
    # A row whose squares all underflow is no zero row.
    if single[zero].any() or not (((squares > TINY) & (squares < HUGE)) | zero).all():
        return np.asarray(cosines(units, unit_rows(others)).max(axis=1))
    lengths = np.sqrt(np.where(zero, np.float32(1), squares))
    rough = rough_cosines(units.astype(np.float32), single) / lengths
    # Twice the error on either side: dividing by a rounded length errs once more.
    least = rough.max(axis=1) - np.float32(4 * rough_error(vectors.shape[1]))
    best = np.empty(len(units))
    for row, (unit, limit) in enumerate(zip(units, least, strict=True)):
        near = others[rough[row] >= limit]
        best[row] = cosines(unit[None], unit_rows(near)).max()
    return best


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()
