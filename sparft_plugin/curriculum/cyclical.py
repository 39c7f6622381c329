"""Cyclical curriculum learning: phases of easy prompts and of all prompts in turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.contract import Curriculum, per_prompt, per_run
from sparft_plugin.curriculum.options import number
from sparft_plugin.curriculum.records import Groups
from sparft_plugin.options import check_number


@dataclass(eq=False)
class CyclicalCurriculum(Curriculum):
    """Vary the share of the pool from phase to phase: .25, .5, 1, .5, .25, .5, 1, ...

    A phase draws its share of the pool without replacement, with probability proportional to ease,
    and goes through it once in random order. Kesgin and Amasyali 2022,
    https://arxiv.org/abs/2202.05531, Algorithm 1 (cycle sizes) and 2 (training). Ease is 1 / loss
    of a trained model there, 1 - difficulty here. Learns nothing.

    A prompt that two phases draw comes once in a batch in which the phases meet; it waits for the
    next batch, or, if the phase has nothing else left, counts as had.

    Parameters
    ----------
    start_share, end_share : float in (0, 1], defaults 0.25 and 1.0
        Smallest and largest share.
    multiplier : float in (0, 1), default 0.5
        Shares grow by 1 / multiplier up to the largest, then shrink by it down to the smallest.
    floor : float in (0, 1], default 0.05
        Least ease, so that prompts never solved come too. Ours.
    """

    paper: ClassVar[str] = "Cyclical Curriculum Learning, arXiv:2202.05531"
    unit: ClassVar[str] = "prompt"
    signal: ClassVar[str] = "none"
    use: ClassVar[str] = "easy prompts should come back from time to time"
    needs_difficulty: ClassVar[bool] = True

    start_share: float = number(0.25, 0, 1, open_low=True)
    end_share: float = 1.0
    multiplier: float = number(0.5, 0, 1, open_low=True, open_high=True)
    floor: float = number(0.05, 0, 1, open_low=True)
    phase: int = per_run(-1)
    """Number of the present one; -1 before the first."""
    waiting: NDArray[np.bool_] = per_prompt(False, np.bool_)
    """Prompts that the phase has yet to hand out."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("sparft.curriculum.end_share", self.end_share, self.start_share, 1)

    @property
    def shares(self) -> list[float]:
        """Shares of one cycle; the next begins like this one."""
        shares = [float(self.start_share)]
        while shares[-1] < self.end_share:
            shares.append(min(shares[-1] / self.multiplier, self.end_share))
        while shares[-1] > self.start_share:
            shares.append(max(shares[-1] * self.multiplier, self.start_share))
        return shares[:-1] or shares

    @property
    def share(self) -> float:
        """Share of the pool that the present phase draws."""
        return self.shares[self.phase % len(self.shares)]

    def _next_phase(self) -> None:
        self.phase += 1
        size = len(self.pool)
        count = max(1, int(self.share * size))
        ease = np.maximum(1 - self.pool.difficulties, self.floor)
        # The smallest of Exp(1) / weight are a weighted draw without replacement.
        keys = self.rng.standard_exponential(size) / ease
        self.waiting[:] = False
        self.waiting[np.argpartition(keys, count - 1)[:count]] = True

    def choose(self, n: int) -> NDArray[np.int64]:
        """Take what the phase has left, then what the next ones have."""
        size = len(self.pool)
        whole, rest = divmod(n, size)
        return np.concatenate([self._batch(m) for m in [size] * whole + [rest] * (rest > 0)])

    def _batch(self, n: int) -> NDArray[np.int64]:
        """Take n prompts, at most the whole pool, none twice."""
        taken = np.empty(0, dtype=np.int64)
        while len(taken) < n:
            left = np.flatnonzero(self.waiting)
            fresh = left[~np.isin(left, taken)] if len(taken) else left
            if not len(fresh):
                self._next_phase()
                continue
            drawn = self.rng.choice(fresh, size=min(n - len(taken), len(fresh)), replace=False)
            self.waiting[drawn] = False
            taken = np.concatenate([taken, drawn])
        return taken

    def learn(self, groups: Groups) -> None:
        """Nothing to learn."""

    def metrics(self) -> dict[str, float]:
        """Add the phase, its share and how many of its prompts are left."""
        return super().metrics() | {
            "phase": float(max(0, self.phase)),
            "share": self.share if self.phase >= 0 else self.shares[0],
            "left_in_phase": float(self.waiting.sum()),
        }
