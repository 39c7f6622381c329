"""Near-duplicates inside the pool: of prompts that say almost the same, one is kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.reduction.hygiene.cells import assign_cells
from sparft_plugin.reduction.hygiene.cosine import DOUBT, check_threshold, cosine
from sparft_plugin.reduction.hygiene.ranked import RankedVectors, Ranks
from sparft_plugin.reduction.vectors import Vectors, one_thread

Floats = NDArray[np.float32]

EXACT = 50_000
"""Pools up to this size are searched exhaustively."""
_LEAF = 2048
_CHUNK = 2048


class NearDuplicate(NamedTuple):
    """A prompt to remove and the kept prompt that says almost the same."""

    removed: int
    """Position of the prompt to remove."""
    kept: int
    """Position of the prompt that stands for it."""
    cosine: float


def near_duplicates(
    vectors: Vectors, order: Ranks, threshold: float, *, exact: int = EXACT
) -> list[NearDuplicate]:
    """Find the prompts that an earlier one makes superfluous.

    In the order of sorted ids, a prompt is removed iff the cosine with an earlier prompt that is
    KEPT is at least ``threshold``. So no two kept prompts are that similar, every removed prompt
    has a kept one, and neither the order of the rows nor blocks nor threads change the result:
    float32 cosines within ``DOUBT`` of the threshold are settled by ``cosine``.

    Up to ``exact`` prompts every pair is compared, at most n^2 / 2 dots of width d. Above that the
    search is approximate: pairs are compared only if they share one of the two nearest cells of
    each (``assign_cells``), or stand close in the order. Some near-duplicates are missed then; none
    is invented. Up to ``exact`` the vectors lie in memory; above that they lie in a temporary file,
    and memory holds one in 20 of them and 16 bytes for each prompt.

    Parameters
    ----------
    vectors : Vectors
        Unit vectors of all prompts.
    order : ndarray of int64, shape (n,)
        Distinct positions of the prompts to compare, in the order of their sorted ids; the others
        are left alone.
    threshold : float in (0, 1]
        Least cosine of near-duplicates.
    exact : int, default 50,000
        Largest pool that is searched exhaustively.

    Returns
    -------
    list of NearDuplicate
        In the order of removed ids, each with its earliest kept near-duplicate.

    Raises
    ------
    SparftError
        If the threshold is out of range, or the temporary file cannot be written.
    """
    check_threshold("near_duplicate_threshold", threshold)
    ranked = RankedVectors(vectors, order, on_disk=len(order) > exact)
    if len(order) > exact:
        # Threads cost more than they give in products as small as those of two cells.
        with one_thread():
            partner = _Search(ranked, assign_cells(ranked), threshold).partners()
    else:
        partner = _Search(ranked, None, threshold).partners()
    return [
        NearDuplicate(int(order[rank]), int(order[kept]), cosine(ranked[rank], ranked[kept]))
        for rank, kept in enumerate(partner.tolist())
        if kept >= 0
    ]


class _Search:
    """Greedy removal over ranks, halving the pool: what the first half keeps sifts the second."""

    def __init__(
        self, ranked: RankedVectors, cells: NDArray[np.int32] | None, threshold: float
    ) -> None:
        self.ranked, self.cells, self.threshold = ranked, cells, threshold
        # Rank of the kept prompt for which each prompt is removed; -1 while it stands.
        self.partner = np.full(len(ranked), -1, dtype=np.int64)

    def partners(self) -> Ranks:
        self._sift(0, len(self.ranked))
        return self.partner

    def _sift(self, start: int, stop: int) -> None:
        if stop - start <= _LEAF:
            self._sift_one_by_one(self._standing(start, stop))
            return
        middle = (start + stop) // 2
        self._sift(start, middle)
        kept, later = self._standing(start, middle), self._standing(middle, stop)
        for left, right in self._neighbours(kept, later):
            self._remove_all_like(left, right)
        self.ranked.forget()
        self._sift(middle, stop)

    def _standing(self, start: int, stop: int) -> Ranks:
        return start + np.flatnonzero(self.partner[start:stop] < 0)

    def _sift_one_by_one(self, ranks: Ranks) -> None:
        block = self.ranked[ranks]
        near = np.tril(block @ block.T, -1)
        for place in np.flatnonzero(near.max(axis=1, initial=0.0) >= self._least):
            kept = np.flatnonzero(self.partner[ranks[:place]] < 0)
            self._settle(ranks[place], block[place], ranks[kept], block[kept], near[place, kept])

    def _neighbours(self, kept: Ranks, later: Ranks) -> Iterator[tuple[Ranks, Ranks]]:
        """Ranks to compare with each other, cell by cell."""
        if not len(kept) or not len(later):
            return
        if self.cells is None:
            yield kept, later
            return
        of_kept, of_later = _by_cell(self.cells, kept), _by_cell(self.cells, later)
        for cell in sorted(of_kept.keys() & of_later.keys()):
            yield of_kept[cell], of_later[cell]

    def _remove_all_like(self, kept: Ranks, later: Ranks) -> None:
        for left in range(0, len(kept), _CHUNK):
            against = kept[left : left + _CHUNK]
            others = self.ranked[against]
            for top in range(0, len(later), _CHUNK):
                ranks = later[top : top + _CHUNK]
                block = self.ranked[ranks]
                near = block @ others.T
                for place in np.flatnonzero(near.max(axis=1) >= self._least):
                    self._settle(ranks[place], block[place], against, others, near[place])

    @property
    def _least(self) -> float:
        return self.threshold - DOUBT

    def _settle(
        self, rank: np.int64, vector: Floats, against: Ranks, others: Floats, near: Floats
    ) -> None:
        """Give a prompt its earliest near-duplicate among ``against``, unless it has an earlier."""
        for place in np.flatnonzero(near >= self._least):
            if 0 <= self.partner[rank] <= against[place]:
                return
            certain = near[place] >= self.threshold + DOUBT
            if certain or cosine(vector, others[place]) >= self.threshold:
                self.partner[rank] = against[place]
                return


def _by_cell(cells: NDArray[np.int32], ranks: Ranks) -> dict[int, Ranks]:
    """Increasing ranks of each cell's members."""
    flat, members = cells[ranks].ravel(), np.repeat(ranks, cells.shape[1])
    order = np.argsort(flat, kind="stable")
    found, starts = np.unique(flat[order], return_index=True)
    return dict(zip(found.tolist(), np.split(members[order], starts[1:]), strict=True))
