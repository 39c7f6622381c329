"""The prompts a curriculum chooses from, as columns: some 45 bytes each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.records import Prompt
from sparft_plugin.errors import SparftError


@dataclass(frozen=True, eq=False)
class PromptPool:
    """n prompts in the order of their ids; a method knows a prompt by its position here.

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
        """Position of a prompt.

        Raises
        ------
        KeyError
            If it is not in the pool.
        """
        identity = prompt_id.encode()
        at = int(np.searchsorted(self.ids, identity))
        if at == len(self) or self.ids[at] != identity:
            raise KeyError(prompt_id)
        return at

    def prompt(self, position: int) -> Prompt:
        """The prompt at a position."""
        difficulty = float(self.difficulties[position])
        return Prompt(
            self.ids[position].decode(),
            int(self.arms[position]),
            None if difficulty != difficulty else difficulty,
        )

    def prompts(self, positions: NDArray[np.int64]) -> list[Prompt]:
        """The prompts at some positions."""
        names = [identity.decode() for identity in self.ids[positions].tolist()]
        found = self.difficulties[positions].tolist()
        # Only NaN differs from itself.
        difficulties = [None if value != value else value for value in found]
        return list(map(Prompt, names, self.arms[positions].tolist(), difficulties))
