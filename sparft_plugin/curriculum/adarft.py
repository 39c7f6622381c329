"""AdaRFT: the prompts nearest to a target difficulty that follows the reward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.contract import PromptCurriculum, per_prompt, per_run
from sparft_plugin.curriculum.options import number
from sparft_plugin.curriculum.records import Groups


@dataclass(eq=False)
class AdarftCurriculum(PromptCurriculum):
    """Keep the batch half solved: harder prompts after success, easier ones after failure.

    T <- clip(T + eta tanh(alpha (R - beta)), 0, 1), with R the pass rate of all rollouts of one
    observation; the prompts with the least |difficulty - T| are picked. Shi et al. 2025,
    https://arxiv.org/abs/2504.05520, Algorithm 1, whose difficulties run from 0 to 100 and eta is
    50. The release takes the same batch again while T stands still; here a prompt rests after it
    was picked. If a batch needs more, those that rested longest come first.

    Parameters
    ----------
    eta : float > 0, default 0.5
        Step of the target.
    alpha : float > 0, default 2.0
        How sharply the step follows the pass rate.
    beta : float in [0, 1], default 0.5
        Pass rate at which the target stands still.
    start_difficulty : float in [0, 1], default 0.0
        First T; 0 begins with the easiest prompts.
    rest : float in [0, 1], default 0.25
        Picks that a prompt waits for after its own, as a share of the pool. 0 is the paper's rule,
        1 takes every prompt once before any again. Ours.
    candidates : int >= 1 or None, default None
        See ``PromptCurriculum``.
    """

    paper: ClassVar[str] = "AdaRFT, arXiv:2504.05520"
    unit: ClassVar[str] = "prompt"
    signal: ClassVar[str] = "pass rate of the batch"
    use: ClassVar[str] = "to keep a batch half solved by moving the difficulty"
    needs_difficulty: ClassVar[bool] = True

    eta: float = number(0.5, 0, open_low=True)
    alpha: float = number(2.0, 0, open_low=True)
    beta: float = number(0.5, 0, 1)
    start_difficulty: float = number(0.0, 0, 1)
    rest: float = number(0.25, 0, 1)
    target: float = per_run()
    picked: NDArray[np.int64] = per_prompt(0, np.int64)
    """The clock when each prompt was last picked; 0 = never."""
    clock: int = per_run(0)
    """Number of this rule's picks."""

    def begin(self) -> None:
        """Aim at the first target."""
        self.target = float(self.start_difficulty)

    def choose(self, n: int) -> NDArray[np.int64]:
        """Take the nearest prompts that do not rest, and let them rest."""
        chosen = super().choose(n)
        self.picked[chosen] = self.clock + np.arange(1, n + 1)
        self.clock += n
        return chosen

    def score_prompts(self, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Negated distance to the target in [-1, 0]; below -1 while a prompt rests."""
        picked = self.picked[positions]
        scores: NDArray[np.float64] = -np.abs(self.pool.difficulties[positions] - self.target)
        resting = np.flatnonzero(picked > max(0.0, self.clock - self.rest * len(self.pool)))
        scores[resting] = -2.0 - 1.0 / (1.0 + self.clock - picked[resting])
        return scores

    def update_prompts(self, groups: Groups) -> None:
        """Move the target by the pass rate of all rollouts."""
        rate = groups.solved.sum() / groups.rollouts.sum()
        step = self.eta * np.tanh(self.alpha * (rate - self.beta))
        self.target = float(np.clip(self.target + step, 0, 1))

    def metrics(self) -> dict[str, float]:
        """Add the target difficulty."""
        return super().metrics() | {"target_difficulty": self.target}
