"""MoPPS: Thompson sampling on the pass rate of each prompt, near one half."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.contract import PromptCurriculum, per_prompt
from sparft_plugin.curriculum.options import number
from sparft_plugin.curriculum.records import Groups


@dataclass(eq=False)
class MoppsCurriculum(PromptCurriculum):
    """Predict each prompt's pass rate by a fading Beta posterior, and keep those near a target.

    p_i ~ Beta(a_i, b_i) for every candidate; the prompts with the least (p_i - target)^2 are
    picked. For every prompt i of an observation, with s_i right of k_i rollouts:

        a_i <- decay a_i + (1 - decay) a_0 + s_i
        b_i <- decay b_i + (1 - decay) b_0 + k_i - s_i

    Model Predictive Prompt Selection, Qu et al. 2025, https://arxiv.org/abs/2507.04632. A prompt
    that was not observed does not fade. The release counts 8 right and 8 wrong for a group of one
    rollout, whatever came; here a group counts its own.

    Parameters
    ----------
    candidates : int >= 1 or None, default 16
        See ``PromptCurriculum``.
    target : float in [0, 1], default 0.5
        Pass rate to be near to.
    decay : float in [0, 1], default 1.0
        Weight of what was known of a prompt when it is observed again; below 1, old rollouts fade.
        The release's scripts for mathematics have 1 and 16 candidates; those for countdown and
        geometry have 0.5 and 8.
    prior_right, prior_wrong : float > 0, default 1.0
        a_0 and b_0.
    """

    paper: ClassVar[str] = "MoPPS, arXiv:2507.04632"
    unit: ClassVar[str] = "prompt"
    signal: ClassVar[str] = "right and wrong rollouts"
    use: ClassVar[str] = "prompts come round often enough to know each of them"

    candidates: int | None = 16
    target: float = number(0.5, 0, 1)
    decay: float = number(1.0, 0, 1)
    prior_right: float = number(1.0, 0, open_low=True)
    prior_wrong: float = number(1.0, 0, open_low=True)
    right: NDArray[np.float64] = per_prompt()
    wrong: NDArray[np.float64] = per_prompt()

    def begin(self) -> None:
        """Start every prompt at the prior."""
        self.right += self.prior_right
        self.wrong += self.prior_wrong

    def score_prompts(self, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Negated squared distance of a drawn pass rate to the target."""
        drawn = self.rng.beta(self.right[positions], self.wrong[positions])
        return -((drawn - self.target) ** 2)

    def update_prompts(self, groups: Groups) -> None:
        """Fade the prompts observed, then add their rollouts."""
        seen, inverse = np.unique(groups.prompts, return_inverse=True)
        solved = np.bincount(inverse, groups.solved)
        failed = np.bincount(inverse, groups.rollouts - groups.solved)
        kept, back = self.decay, 1 - self.decay
        self.right[seen] = kept * self.right[seen] + back * self.prior_right + solved
        self.wrong[seen] = kept * self.wrong[seen] + back * self.prior_wrong + failed

    def metrics(self) -> dict[str, float]:
        """Add the mean posterior pass rate, and the share of prompts near the target."""
        means = self.right / (self.right + self.wrong)
        return super().metrics() | {
            "posterior_mean": float(means.mean()),
            "near_target": float((np.abs(means - self.target) < 0.25).mean()),
        }
