"""Vectors small enough to reason about, in parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparft_plugin.reduction.vectors import Part, Vectors


@dataclass(frozen=True, eq=False)
class InMemory(Part):
    positions: np.ndarray
    vectors: np.ndarray

    def load(self) -> tuple[np.ndarray, np.ndarray]:
        return self.positions, self.vectors


def unit(*rows: list[float]) -> np.ndarray:
    array = np.array(rows, dtype=np.float64)
    return (array / np.linalg.norm(array, axis=1, keepdims=True)).astype(np.float32)


def in_parts(array: np.ndarray, size: int = 7) -> Vectors:
    """Vectors in parts of ``size``, the last part first."""
    places = np.arange(len(array))
    starts = range(0, len(array), size)
    parts = [InMemory(places[i : i + size], array[i : i + size]) for i in starts]
    return Vectors(parts[::-1], len(array), array.shape[1])
