"""One term of the intrinsic reward: what it stores, what it reads, how it is scaled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.memory.archive import Arrays
from sparft_plugin.memory.base import MemoryGroup
from sparft_plugin.memory.normalize import FLAT, WindowNormalizer
from sparft_plugin.memory.store import EpisodicStore, cosines, unit_rows

Raw = dict[int, tuple[MemoryGroup, NDArray[np.float64]]]
"""Groups with their raw values, by the group's id in memory."""


@dataclass(frozen=True)
class Formula:
    """How a term is computed, and what the released code pays where the formula says nothing."""

    of_success: bool
    """Whether it remembers the responses that succeeded, or those that did not."""

    raw: Callable[[NDArray[np.float32], NDArray[Any]], NDArray[np.float64]]
    """Raw values (g,) of responses (g, d) read against remembered ones (m, d), m >= 1."""
    when_flat: Callable[[float], float]
    """What the release pays for a raw value while all values of the window are equal."""
    when_empty: float
    """What the release pays while nothing is remembered."""


def closeness(responses: NDArray[np.float32], near: NDArray[Any]) -> NDArray[np.float64]:
    """R_s = -|| a - mean(B) ||_2 of responses a and remembered ones B."""
    distances = np.linalg.norm(responses - near.mean(axis=0, dtype=np.float64), axis=1)
    return np.asarray(-distances)


def novelty(responses: NDArray[np.float32], near: NDArray[Any]) -> NDArray[np.float64]:
    """R_e = 1 - max over b in B of cos(a, b) of responses a and remembered ones B."""
    return np.asarray(1.0 - cosines(unit_rows(responses), unit_rows(near)).max(axis=1))


# The released code pays 1 - s for closeness, s the scaled distance, and leaves s as the distance
# itself where it cannot be scaled.
CLOSENESS = Formula(True, closeness, when_flat=lambda raw: 1.0 + raw, when_empty=0.0)
NOVELTY = Formula(False, novelty, when_flat=lambda raw: 0.0, when_empty=1.0)


class Term:
    """A term as in the paper: all of a step is read before any of it is written.

    It reads what is stored under the K = `neighbors` nearest queries; `store` and `windows` come
    empty, and `succeeded` says which responses (g,) of a group are successes.
    """

    def __init__(
        self,
        formula: Formula,
        succeeded: Callable[[MemoryGroup], NDArray[np.bool_]],
        neighbors: int,
        store: EpisodicStore,
        windows: WindowNormalizer,
    ) -> None:
        self.formula = formula
        self.succeeded = succeeded
        self.neighbors = neighbors
        self.store = store
        self.windows = windows
        self._read: Raw = {}

    def kept(self, group: MemoryGroup) -> NDArray[np.bool_]:
        """Which responses (g,) of a group are stored."""
        return np.equal(self.succeeded(group), self.formula.of_success)

    def score(self, groups: Sequence[MemoryGroup]) -> list[NDArray[np.float64]]:
        """Scaled values (g,) of one or more groups; nothing is changed."""
        self._read = self._raw(groups)
        return [
            self.windows.normalize(group.prompt_id, self._read[id(group)][1]) for group in groups
        ]

    def write(self, groups: Sequence[MemoryGroup]) -> None:
        """Record the raw values of one or more groups, then store what is kept of them."""
        # What was scored since the last write was read from the same memory.
        read = self._read | self._raw([group for group in groups if id(group) not in self._read])
        self._read = {}
        for group in groups:
            self.windows.record(group.prompt_id, read[id(group)][1])
        for group in groups:
            self.store.write(group.prompt_id, group.query, group.responses[self.kept(group)])

    def _raw(self, groups: Sequence[MemoryGroup]) -> Raw:
        """Raw values (g,) of each group; NaN where nothing is remembered."""
        if not groups or not len(self.store):
            return {id(group): (group, np.full(len(group.responses), np.nan)) for group in groups}
        near = self.store.nearest(np.stack([group.query for group in groups]), self.neighbors)
        return {
            id(group): (group, self.formula.raw(group.responses, self.store.read(rows)))
            for group, rows in zip(groups, near, strict=True)
        }

    def arrays(self) -> Arrays:
        """Return store and windows, for `restore`."""
        stored = self.store.arrays()
        return {**stored, **{f"window.{k}": v for k, v in self.windows.arrays().items()}}

    def restore(self, arrays: Arrays, dimension: int | None) -> None:
        """Fill an empty term from `arrays`; see `EpisodicStore.restore`."""
        self.store.restore({k: v for k, v in arrays.items() if "." not in k}, dimension)
        self.windows.restore(members(arrays, "window."))


class ReleasedTerm(Term):
    """One response after the other is stored, then read, then scaled.

    Where https://github.com/thaihungle/Memory-R departs from the paper, this follows it: a response
    is remembered before it is scored; its raw value enters the window before it is scaled by it,
    without an epsilon; while all values of the window are equal (max - min <= ``FLAT``) closeness
    pays 1 - distance, which can be negative, and novelty 0; while nothing is remembered closeness
    pays 0 and novelty 1, and no value is recorded. All else is as in `Term`: a response belongs to
    its own prompt, and a zero embedding has cosine 0, where the release has NaN.

    The order in a step matters here; it is that of `IntrinsicReward.write`.
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
                rows = store.nearest(group.query[None], self.neighbors)[0]
                known = store.inserted
            raw = self.formula.raw(response, store.read(rows))
            values[place] = self._scaled(raw.item(), windows.record(group.prompt_id, raw))
        return values

    def _scaled(self, raw: float, window: NDArray[np.float64]) -> float:
        low, high = float(window.min()), float(window.max())
        return self.formula.when_flat(raw) if high - low <= FLAT else (raw - low) / (high - low)


def members(arrays: Arrays, prefix: str) -> Arrays:
    """Return the arrays whose name starts with a prefix, without it."""
    return {
        key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)
    }
