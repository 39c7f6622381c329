"""The control: representatives by chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.reduction.selectors.base import Members, Selector


@dataclass
class RandomChoice(Selector):
    """Draw members uniformly without replacement: the first k of one permutation."""

    nested: ClassVar[bool] = True

    def select(self, members: Members, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Choose min(k, n) members by chance."""
        return rng.permutation(len(members))[:k]
