"""The middle class of prompt-level methods: a method is a score and an update."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.base import Curriculum
from sparft_plugin.curriculum.groups import Groups
from sparft_plugin.errors import SparftError


@dataclass(eq=False)
class PromptCurriculum(Curriculum):
    """Keep the best-scored of some candidates.

    A method gives ``score_prompts`` and ``update_prompts``, and names its arrays in
    ``prompt_arrays``.

    Parameters
    ----------
    candidates : int >= 1 or None, default None
        Candidates per slot, drawn from the pool without replacement; None scores every prompt.
        Fewer are cheaper and choose more by chance.
    """

    candidates: int | None = None

    def __post_init__(self) -> None:
        value: Any = self.candidates
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int) or value < 1
        ):
            raise SparftError(
                f"sparft.curriculum.candidates={value!r} must be a whole number of at least 1, or "
                "null for every prompt."
            )

    @abstractmethod
    def score_prompts(self, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Score of some prompts of the pool, shape (c,); the highest are kept."""

    @abstractmethod
    def update_prompts(self, groups: Groups) -> None:
        """Learn from all groups of one observation, at least one."""

    def begin(self) -> None:
        """Nothing of its own."""

    def choose(self, n: int) -> NDArray[np.int64]:
        """Keep the n best candidates, ties by chance; a pool that is too small comes again."""
        size = len(self.pool)
        whole, rest = divmod(n, size)
        rounds = [self.rng.permutation(size) for _ in range(whole)]
        if rest:
            rounds.append(self._best(rest))
        return np.concatenate(rounds)

    def _best(self, n: int) -> NDArray[np.int64]:
        positions = self._candidates(n)
        return self._keep(positions, self.score_prompts(positions), n)

    def _candidates(self, n: int) -> NDArray[np.int64]:
        """Distinct positions to score for n slots, at least n."""
        size = len(self.pool)
        count = size if self.candidates is None else min(size, n * self.candidates)
        if count < size:
            return self.rng.choice(size, size=count, replace=False)
        return np.arange(size)

    def _keep(
        self, positions: NDArray[np.int64], scores: NDArray[np.float64], n: int
    ) -> NDArray[np.int64]:
        """The n best of some positions, ties by chance, in random order."""
        border = np.partition(scores, len(scores) - n)[len(scores) - n]
        sure = np.flatnonzero(scores > border)
        tied = np.flatnonzero(scores == border)
        chosen = np.concatenate([sure, self.rng.permutation(tied)[: n - len(sure)]])
        return self.rng.permutation(positions[chosen])

    def learn(self, groups: Groups) -> None:
        """Pass the groups on to the rule."""
        self.update_prompts(groups)
