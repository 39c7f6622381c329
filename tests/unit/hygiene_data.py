"""Vectors small enough to reason about."""

from __future__ import annotations

import numpy as np


def unit(*rows: list[float]) -> np.ndarray:
    array = np.array(rows, dtype=np.float64)
    return (array / np.linalg.norm(array, axis=1, keepdims=True)).astype(np.float32)


def in_parts(array: np.ndarray, size: int = 7) -> np.ndarray:
    """Vectors as they are: one array, however it is read."""
    return array
