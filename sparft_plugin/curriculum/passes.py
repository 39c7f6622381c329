"""Shuffled passes without replacement, over the whole pool or inside each arm."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.state import pack, unpack


class Passes:
    """Hand out every member of a set once in random order, then shuffle again.

    Parameters
    ----------
    sets : ndarray of int, shape (n,)
        Number of the set that each prompt belongs to, such as its arm; sets may be empty.
    """

    def __init__(self, sets: NDArray[np.integer]) -> None:
        count = int(sets.max()) + 1
        self.sizes = np.bincount(sets, minlength=count)
        self._starts = np.concatenate([[0], np.cumsum(self.sizes)])[:-1].tolist()
        self.order = np.argsort(sets, kind="stable").astype(np.int32)
        """Positions, set after set; inside a set in the order of its pass."""
        self.left = np.zeros(count, dtype=np.int64)
        """Prompts that the pass of each set has yet to hand out."""

    def next(self, number: int, rng: np.random.Generator, taken: Set[int] = frozenset()) -> int:
        """Return the next prompt of a set; a new pass begins when one is used up.

        Prompts in ``taken`` wait for the end of the pass if it has others.
        """
        start, size = self._starts[number], int(self.sizes[number])
        if not self.left[number]:
            self.order[start : start + size] = rng.permutation(
                np.sort(self.order[start : start + size])
            )
            self.left[number] = size
        left = int(self.left[number])
        # Drawn from the end, so that what is left is always the beginning.
        for back in range(left - 1, -1, -1):
            if int(self.order[start + back]) not in taken:
                break
        else:
            back = left - 1
        last = start + left - 1
        chosen = int(self.order[start + back])
        self.order[start + back] = self.order[last]
        self.order[last] = chosen
        self.left[number] = left - 1
        return chosen

    def batch(self, numbers: NDArray[np.integer], rng: np.random.Generator) -> NDArray[np.int64]:
        """Return the next prompt of each set named, shape (n,).

        No prompt comes twice before every prompt came once, if the numbers allow it.
        """
        taken: set[int] = set()
        chosen = np.empty(len(numbers), dtype=np.int64)
        for slot, number in enumerate(numbers.tolist()):
            if len(taken) == len(self.order):
                taken.clear()
            chosen[slot] = self.next(number, rng, taken)
            taken.add(int(chosen[slot]))
        return chosen

    def state(self) -> dict[str, Any]:
        """The passes in progress, as JSON."""
        return {"order": pack(self.order), "left": pack(self.left)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state`` gave, over the same sets."""
        self.order[:] = unpack(state["order"], self.order)
        self.left[:] = unpack(state["left"], self.left)
