"""From the easiest to the hardest in even steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.reduction.selectors.base import Members, Selector, missing
from sparft_plugin.reduction.selectors.points import Points


@dataclass
class DifficultySpread(Selector):
    """Keep members at evenly spaced difficulty quantiles, both ends included, easiest first.

    Choice j of k has the difficulty of rank round(j (n - 1) / (k - 1)), halves up, among the n
    members sorted by difficulty; a single choice has that of rank floor((n - 1) / 2). Where several
    members share a difficulty, those nearest to the centroid stand for it, then the lowest row.
    The rule is ours; no paper is followed.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"difficulties"})

    def select(self, members: Members, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Choose min(k, n) members; ``rng`` is not used."""
        if members.difficulties is None:
            raise missing("difficulty_spread", "difficulties")
        count = min(k, len(members))
        if not count:
            return np.empty(0, dtype=np.int64)
        order = np.lexsort((Points(members.features).spread, members.difficulties))
        ladder = members.difficulties[order]
        levels, wanted = np.unique(ladder[_even_ranks(len(members), count)], return_counts=True)
        starts = np.searchsorted(ladder, levels)
        return np.concatenate(
            [order[start : start + n] for start, n in zip(starts, wanted, strict=True)]
        )


def _even_ranks(n: int, count: int) -> NDArray[np.int64]:
    """``count`` distinct ranks of n, evenly spaced; whole numbers only, so that no half is lost."""
    if count == 1:
        return np.array([(n - 1) // 2])
    gaps = count - 1
    return (2 * np.arange(count) * (n - 1) + gaps) // (2 * gaps)
