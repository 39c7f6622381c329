"""The prompts a curriculum chooses from, as columns, and shuffled passes over them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.records import Prompt
from sparft_plugin.curriculum.state import pack, unpack
from sparft_plugin.errors import SparftError


@dataclass(frozen=True, eq=False)
class PromptPool:
    """n prompts in the order of their ids; a method knows a prompt by its position here.

    Some 45 bytes a prompt, without embeddings.

    Raises
    ------
    SparftError
        If there are none, an id appears twice or an arm is negative.
    """

    ids: NDArray[np.bytes_]
    """Distinct ids, sorted, shape (n,)."""
    arms: NDArray[np.int32]
    """Arm of each prompt, shape (n,), >= 0."""
    difficulties: NDArray[np.float64]
    """Difficulty of each prompt in [0, 1], shape (n,); NaN where unknown."""
    embeddings: NDArray[np.float32] | None = None
    """Unit vector of each prompt, shape (n, d), for methods that ask for it."""

    def __post_init__(self) -> None:
        if not len(self.ids):
            raise SparftError("the pool has no prompts; check data.train_files.")
        if (self.ids[1:] == self.ids[:-1]).any():
            raise SparftError("the pool holds the same prompt id twice; remove the duplicates.")
        if self.arms.min() < 0:
            raise SparftError("the pool holds a negative arm; number arms from 0.")

    @classmethod
    def of(
        cls, prompts: Sequence[Prompt], embeddings: NDArray[np.float32] | None = None
    ) -> PromptPool:
        """Sort prompts by id; ``embeddings`` has a row for each of ``prompts`` as given."""
        ids = np.array([prompt.id.encode() for prompt in prompts], dtype=np.bytes_)
        order = np.argsort(ids, kind="stable")
        known = [np.nan if p.difficulty is None else p.difficulty for p in prompts]
        return cls(
            ids[order],
            np.array([prompt.arm for prompt in prompts], dtype=np.int32)[order],
            np.array(known, dtype=np.float64)[order],
            None if embeddings is None else embeddings[order],
        )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def n_arms(self) -> int:
        """One more than the largest arm; an arm may have no prompts."""
        return int(self.arms.max()) + 1

    def position(self, prompt_id: str) -> int:
        """Position of a prompt; KeyError if it is not in the pool."""
        identity = prompt_id.encode()
        at = int(np.searchsorted(self.ids, identity))
        if at == len(self) or self.ids[at] != identity:
            raise KeyError(prompt_id)
        return at

    def prompt(self, position: int) -> Prompt:
        """The prompt at a position."""
        return self.prompts(np.array([position]))[0]

    def prompts(self, positions: NDArray[np.int64]) -> list[Prompt]:
        """The prompts at some positions."""
        names = [identity.decode() for identity in self.ids[positions].tolist()]
        found = self.difficulties[positions].tolist()
        # Only NaN differs from itself.
        difficulties = [None if value != value else value for value in found]
        return list(map(Prompt, names, self.arms[positions].tolist(), difficulties))


def rank_among_equals(numbers: NDArray[np.integer]) -> NDArray[np.int64]:
    """How many equal numbers stand before each, shape (n,): [5, 3, 5] gives [0, 0, 1]."""
    order = np.argsort(numbers, kind="stable")
    in_order = numbers[order]
    ranks = np.empty(len(numbers), dtype=np.int64)
    ranks[order] = np.arange(len(numbers)) - np.searchsorted(in_order, in_order)
    return ranks


class Members:
    """The prompts of each set, such as an arm, to draw from those that are free.

    ``sets``, shape (n,), is the number of the set that each prompt belongs to; one may be empty.
    """

    def __init__(self, sets: NDArray[np.integer]) -> None:
        self.sizes = np.bincount(sets)
        self.starts = np.cumsum(self.sizes) - self.sizes
        self.order = np.argsort(sets, kind="stable").astype(np.int32)
        """Positions, set after set."""

    def draw(
        self, number: int, n: int, taken: NDArray[np.bool_], rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Draw up to n distinct prompts of a set that are not taken, and mark them as taken."""
        members = self.order[self.starts[number] :][: self.sizes[number]]
        free = members[~taken[members]]
        drawn: NDArray[np.int64] = rng.choice(free, min(n, len(free)), replace=False)
        taken[drawn] = True
        return drawn


class Passes(Members):
    """Hand out every member of a set once in random order, then shuffle again.

    Inside a set, ``order`` is that of its pass.
    """

    def __init__(self, sets: NDArray[np.integer]) -> None:
        super().__init__(sets)
        self._sets = sets
        self.left = np.zeros(len(self.sizes), dtype=np.int64)
        """Prompts that the pass of each set has yet to hand out."""

    def batch(self, numbers: NDArray[np.integer], rng: np.random.Generator) -> NDArray[np.int64]:
        """Return the next prompt of each set named, shape (n,); a pass used up begins anew.

        No prompt comes twice before every prompt of its set came once.
        """
        wanted = np.bincount(numbers, minlength=len(self.left))
        chosen = np.empty(len(numbers), dtype=np.int64)
        # A pass that goes on hands out its end, where no prompt of this batch can be.
        goes_on = (wanted <= self.left)[numbers]
        sets = numbers[goes_on]
        chosen[goes_on] = self.order[(self.starts + self.left)[sets] - 1 - rank_among_equals(sets)]
        self.left -= np.where(wanted <= self.left, wanted, 0)
        taken: dict[int, set[int]] = defaultdict(set)
        for slot in np.flatnonzero(~goes_on):
            number = int(numbers[slot])
            if len(taken[number]) == self.sizes[number]:
                taken[number].clear()
            chosen[slot] = self._next(number, taken[number], rng)
            taken[number].add(int(chosen[slot]))
        return chosen

    def _next(self, number: int, taken: set[int], rng: np.random.Generator) -> int:
        """Next prompt of a set; those taken wait for the end of its pass if it has others."""
        members = self.order[self.starts[number] :][: self.sizes[number]]
        if not self.left[number]:
            members[:] = rng.permutation(np.sort(members))
            self.left[number] = len(members)
        self.left[number] -= 1
        # Drawn from the end, so that what is left is always the beginning.
        last = int(self.left[number])
        at = next((i for i in range(last, -1, -1) if int(members[i]) not in taken), last)
        chosen = int(members[at])
        members[at], members[last] = members[last], chosen
        return chosen

    def state(self) -> dict[str, Any]:
        """The passes in progress, as JSON."""
        return {"order": pack(self.order), "left": pack(self.left)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state`` gave for this pool; if prompts changed sets, passes begin anew."""
        order, left = unpack(state["order"], self.order), unpack(state["left"], self.left)
        same_sets = np.array_equal(self._sets[order], self._sets[self.order])
        if same_sets and len(left) == len(self.left):
            self.order, self.left = order, left
