"""What a reduction kept, and why: a result that explains itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Reduction:
    """The m prompts that were kept, by arm and then in the order they were chosen."""

    ids: tuple[str, ...]
    """Prompt ids, m distinct ones."""
    rows: NDArray[np.int64]
    """Row of each kept prompt in the source of the prompt table, shape (m,)."""
    arms: NDArray[np.int64]
    """Arm of each kept prompt, shape (m,), in 0 .. K - 1, not decreasing."""
    difficulties: NDArray[np.float64]
    """Difficulty of each kept prompt in [0, 1], shape (m,); NaN where the data has no label."""
    manifest: dict[str, Any]
    """How it came about: options, data fingerprint, encoder, counts, seconds; plain JSON."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def counts(self) -> tuple[int, ...]:
        """Prompts kept of each arm, K numbers."""
        return tuple(arm["kept"] for arm in self.manifest["arms"])

    @property
    def pool_counts(self) -> tuple[int, ...]:
        """Prompts that each arm was chosen from, K numbers, not increasing."""
        return tuple(arm["pool"] for arm in self.manifest["arms"])

    @property
    def shortfall(self) -> int:
        """Prompts that clusters smaller than ``per_cluster`` could not give."""
        return int(self.manifest["shortfall"])

    @property
    def duplicates(self) -> int:
        """Source rows left out because an earlier row holds the same prompt."""
        return int(self.manifest["duplicates"])
