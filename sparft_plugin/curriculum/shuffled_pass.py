"""Shuffled passes over prompts, without replacement inside a pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sparft_plugin.curriculum.records import Prompt


@dataclass
class ShuffledPass:
    """Hand out every prompt once in random order, then shuffle again.

    Parameters
    ----------
    prompts : sequence of Prompt
        At least one.
    """

    prompts: Sequence[Prompt]
    left: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._by_id: Mapping[str, Prompt] = {prompt.id: prompt for prompt in self.prompts}

    def next(self, rng: np.random.Generator) -> Prompt:
        """Return the next prompt of the pass; a new pass begins when one is used up."""
        if not self.left:
            order = rng.permutation(len(self.prompts))
            self.left = [self.prompts[int(i)].id for i in order]
        return self._by_id[self.left.pop()]
