"""Cosines that are the same wherever, and beside whatever, a pair is computed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError

DOUBT = 1e-4
"""A float32 cosine this near to a threshold is settled by ``cosine``."""


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Cosine of two vectors, from correctly rounded sums: no thread, block or machine changes it.

    Parameters
    ----------
    a, b : ndarray of float32, shape (d,)
        Vectors that are not zero.

    Returns
    -------
    float
        In [-1, 1]; exactly 1 for equal vectors.
    """
    left, right = a.astype(np.float64), b.astype(np.float64)
    scale = math.sqrt(math.fsum(left * left) * math.fsum(right * right))
    return max(-1.0, min(1.0, math.fsum(left * right) / scale))


def check_threshold(name: str, value: float) -> None:
    """Refuse a cosine threshold outside (0, 1].

    Raises
    ------
    SparftError
        If it lies outside, or is NaN.
    """
    if not 0.0 < value <= 1.0:
        raise SparftError(f"{name}={value:g} must be a cosine above 0 and at most 1, such as 0.9.")
