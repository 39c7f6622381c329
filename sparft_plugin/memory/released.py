"""A term as the code released with the paper computes it, for comparison."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.memory.base import MemoryGroup
from sparft_plugin.memory.normalize import FLAT, WindowNormalizer
from sparft_plugin.memory.store import EpisodicStore
from sparft_plugin.memory.term import Term


class ReleasedTerm(Term):
    """One response after the other is stored, then read, then scaled.

    Where https://github.com/thaihungle/Memory-R departs from the paper, this follows it: a response
    is remembered before it is scored; its raw value enters the window before it is scaled by it,
    without an epsilon; while all values of the window are equal (max - min <= ``FLAT``) closeness
    pays 1 - distance, which can be negative, and novelty 0; while nothing is remembered closeness
    pays 0 and novelty 1, and no value is recorded. All else is as in `Term`: a response belongs to
    its own prompt, and a zero embedding has cosine 0, where the release has NaN.

    The order in a step matters here. It is that of `IntrinsicReward.write`: by prompt id, then as
    given.
    """

    def score(self, groups: Sequence[MemoryGroup]) -> list[NDArray[np.float64]]:
        """Values (g,) of one or more groups, as if they were written; nothing is changed."""
        order = sorted(range(len(groups)), key=lambda place: groups[place].prompt_id)
        store, windows = self.store.fork(), self.windows.fork()
        values = {place: self._pass(groups[place], store, windows) for place in order}
        return [values[place] for place in range(len(groups))]

    def write(self, groups: Sequence[MemoryGroup]) -> None:
        """Store and record one or more groups, a response after the other."""
        for group in groups:
            self._pass(group, self.store, self.windows)

    def _pass(
        self, group: MemoryGroup, store: EpisodicStore, windows: WindowNormalizer
    ) -> NDArray[np.float64]:
        values = np.empty(len(group.responses))
        rows, known = np.empty(0, np.int64), -1
        for place, kept in enumerate(self.kept(group)):
            response = group.responses[place : place + 1]
            if kept:
                store.write(group.prompt_id, group.query, response)
            if not len(store):
                values[place] = self.formula.when_empty
                continue
            if store.inserted != known:
                rows = store.nearest_rows(group.query[None], self.neighbors)[0]
                known = store.inserted
            raw = self.formula.raw(response, store.read(rows))
            window = windows.record(group.prompt_id, raw)
            values[place] = self._scaled(raw.item(), window)
        return values

    def _scaled(self, raw: float, window: NDArray[np.float64]) -> float:
        low, high = float(window.min()), float(window.max())
        if high - low <= FLAT:
            return self.formula.when_flat(raw)
        return (raw - low) / (high - low)
