"""Which prompts stand for their cluster: the contract and two rules."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


class Selector(ABC):
    """Keeps representatives of one cluster; a registered selector is a dataclass."""

    @abstractmethod
    def select(
        self, features: NDArray[np.float64], k: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Choose representatives.

        Parameters
        ----------
        features : ndarray of float64, shape (n, d)
            Members of one cluster, rows in the order of their sorted ids.
        k : int >= 0
            Number of members wanted.
        rng : numpy.random.Generator
            The only source of chance.

        Returns
        -------
        ndarray of int64, shape (min(k, n),)
            Distinct rows of ``features``, in the order they were chosen.
        """


@dataclass
class FarthestPoint(Selector):
    """Cover the cluster: each choice is the member farthest from all earlier ones.

    Greedy max-min selection (k-center; Gonzalez 1985, at most twice the best radius), seeded at
    the member nearest to the centroid as SPaRFT (arXiv 2508.05015) leaves the seed open. Ties go
    to the lowest row. Costs O(n k d).
    """

    def select(
        self, features: NDArray[np.float64], k: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Choose min(k, n) members; ``rng`` is not used."""
        chosen: list[int] = []
        if len(features) and k > 0:
            chosen.append(int(_distances(features, features.mean(axis=0)).argmin()))
            nearest = np.full(len(features), np.inf)
        while chosen and len(chosen) < min(k, len(features)):
            nearest = np.minimum(nearest, _distances(features, features[chosen[-1]]))
            nearest[chosen] = -1.0
            chosen.append(int(nearest.argmax()))
        return np.array(chosen, dtype=np.int64)


@dataclass
class RandomChoice(Selector):
    """The control: members drawn uniformly without replacement."""

    def select(
        self, features: NDArray[np.float64], k: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Choose min(k, n) members by chance."""
        rows = rng.choice(len(features), size=min(k, len(features)), replace=False)
        return np.asarray(rows, dtype=np.int64)


def _distances(features: NDArray[np.float64], point: NDArray[np.float64]) -> NDArray[np.float64]:
    squared: NDArray[np.float64] = np.square(features - point).sum(axis=1)
    return squared
