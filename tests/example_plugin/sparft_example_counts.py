"""An intrinsic reward of one's own: pay for answers of a kind that was seldom given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError
from sparft_plugin.memory.base import IntrinsicReward, MemoryGroup, Terms


@dataclass(eq=False)
class HashCount(IntrinsicReward):
    """Pay 1 / sqrt(n) for the n-th response of a kind to a prompt.

    A kind is a SimHash: the signs of `bits` random projections of the embedding. Tang et al. 2017,
    https://arxiv.org/abs/1611.04717, section 2.2. All rollouts of a step see the same counts.

    Parameters
    ----------
    encoder : str
        See `IntrinsicReward`.
    bits : int in [1, 62], default 12
        Fewer bits make fewer and larger kinds.
    weight : float >= 0, default 0.1
        Weight of the term.
    """

    name: ClassVar[str] = "hash_count"

    bits: int = 12
    weight: float = 0.1
    counts: Counter[tuple[str, int]] = field(init=False, repr=False)
    told: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.bits <= 62:
            raise SparftError(f"sparft.memory.bits must be in [1, 62], not {self.bits!r}.")
        self.counts = Counter()
        self.told = {"success": 0, "failure": 0}

    def kinds(self, group: MemoryGroup) -> list[tuple[str, int]]:
        """Prompt and SimHash of each response."""
        rng = np.random.default_rng(0)
        directions = rng.normal(size=(self.bits, group.responses.shape[1]))
        signs = np.einsum("gd,bd->gb", group.responses.astype(np.float64), directions) > 0
        codes = signs @ (1 << np.arange(self.bits))
        return [(group.prompt_id, code) for code in codes.tolist()]

    def terms(self, groups: Sequence[MemoryGroup]) -> list[Terms]:
        """All of it is exploration."""
        scored = []
        for group in groups:
            seen = np.array([self.counts[kind] for kind in self.kinds(group)])
            explore: NDArray[np.float64] = 1 / np.sqrt(seen + 1)
            scored.append(Terms(np.zeros(len(seen)), explore, self.weight * explore))
        return scored

    def remember(self, groups: Sequence[MemoryGroup]) -> None:
        """Count every response."""
        for group in groups:
            self.counts.update(self.kinds(group))
            right = int((group.accuracies > 0.5).sum())
            self.told["success"] += right
            self.told["failure"] += len(group.accuracies) - right

    def metrics(self) -> dict[str, float]:
        """What was counted, and the bytes of ids, codes and counts."""
        prompts = {prompt for prompt, _ in self.counts}
        size = sum(len(prompt) + 16 for prompt, _ in self.counts)
        return {
            "success": float(self.told["success"]),
            "failure": float(self.told["failure"]),
            "queries": float(len(prompts)),
            "bytes": float(size),
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return kinds and counts, in the order they were first seen."""
        return {
            "prompt_ids": np.array([prompt for prompt, _ in self.counts], dtype=np.str_),
            "codes": np.array([code for _, code in self.counts], np.int64),
            "counts": np.array(list(self.counts.values()), np.int64),
            "told": np.array(list(self.told.values()), np.int64),
        }

    def restore(self, arrays: dict[str, NDArray[Any]], dimension: int | None) -> None:
        """Take over saved counts."""
        ids, codes, counts, told = (
            arrays[key].tolist() for key in ("prompt_ids", "codes", "counts", "told")
        )
        if not len(ids) == len(codes) == len(counts) or len(told) != 2:
            raise SparftError("the saved counts do not fit each other.")
        self.counts = Counter(dict(zip(zip(ids, codes, strict=True), counts, strict=True)))
        self.told = dict(zip(self.told, told, strict=True))
