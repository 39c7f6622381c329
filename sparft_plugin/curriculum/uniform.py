"""Uniform: shuffled passes over the whole pool, the honest baseline."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.contract import Curriculum
from sparft_plugin.curriculum.pool import Passes
from sparft_plugin.curriculum.records import Groups


@dataclass(eq=False)
class UniformCurriculum(Curriculum):
    """Every prompt once in random order, then again; learns nothing.

    The control that SPaRFT's paper leaves out: the same prompts, no bandit.
    """

    paper: ClassVar[str] = "-"
    unit: ClassVar[str] = "prompt"
    signal: ClassVar[str] = "none"
    use: ClassVar[str] = "always, as the control"

    passes: Passes = field(init=False, repr=False)

    def begin(self) -> None:
        """Start the first pass."""
        self.passes = Passes(np.zeros(len(self.pool), dtype=np.int8))

    def choose(self, n: int) -> NDArray[np.int64]:
        """Return the next n prompts of the pass."""
        return self.passes.batch(np.zeros(n, dtype=np.int64), self.rng)

    def learn(self, groups: Groups) -> None:
        """Nothing to learn."""
