"""The access pattern of Memory-R's released code, written for comparison.

One text at a time; the question and the response are encoded when a rollout is inserted and again
when it is scored; every response is a flat L2 search of its own; successes and failures lie in two
memories. https://github.com/thaihungle/Memory-R
"""

from __future__ import annotations

from typing import Any

import numpy as np


class FlatMemory:
    """Questions in one growing array, each with the responses stored under it."""

    def __init__(self, dimension: int) -> None:
        self.keys = np.empty((1024, dimension), np.float32)
        self.values: list[list[np.ndarray]] = []

    def nearest(self, key: np.ndarray) -> tuple[int, float]:
        """Position of the nearest question and its squared distance; an exhaustive search."""
        gaps = self.keys[: len(self.values)] - key
        distances = np.einsum("ij,ij->i", gaps, gaps)
        best = int(distances.argmin())
        return best, float(distances[best])

    def insert(self, key: np.ndarray, value: np.ndarray) -> None:
        """Store a response under its question."""
        if self.values:
            best, distance = self.nearest(key)
            if distance < 1e-6:
                self.values[best].append(value)
                return
        if len(self.values) == len(self.keys):
            self.keys = np.concatenate([self.keys, np.empty_like(self.keys)])
        self.keys[len(self.values)] = key
        self.values.append([value])

    def read(self, key: np.ndarray) -> np.ndarray | None:
        """Responses of the nearest question, shape (n, dimension); None from an empty memory."""
        return np.stack(self.values[self.nearest(key)[0]]) if self.values else None


class ReleasedPattern:
    """Pays exploit and explore for one rollout at a time.

    Parameters
    ----------
    model : SentenceTransformer
        Encodes one text a call, as the library does it by default.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        dimension = int(model.encode("x").shape[0])
        self.success, self.failure = FlatMemory(dimension), FlatMemory(dimension)

    def reward(self, question: str, response: str, accuracy: float) -> float:
        """Insert a rollout, then score it."""
        memory = self.success if accuracy > 0.5 else self.failure
        memory.insert(self.model.encode(question), self.model.encode(response))
        key, value = self.model.encode(question), self.model.encode(response)
        successes, failures = self.success.read(key), self.failure.read(key)
        exploit = 0.0 if successes is None else -float(np.linalg.norm(value - successes.mean(0)))
        explore = 0.0
        if failures is not None:
            norms = np.linalg.norm(failures, axis=1) * np.linalg.norm(value)
            explore = 1 - float((failures @ value / norms).max())
        return exploit + explore
