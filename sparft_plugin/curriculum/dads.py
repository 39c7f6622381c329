"""Dads: domain-aware dynamic sampling, more of what is still far from its target reward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.contract import ArmCurriculum, per_arm
from sparft_plugin.curriculum.options import number
from sparft_plugin.curriculum.records import Groups


@dataclass(eq=False)
class DadsCurriculum(ArmCurriculum):
    """Prefer the arms whose pass rate is furthest below a target.

    After every observation, for each arm i with rollouts in it:

        r_i <- s r_i + (1 - s) (pass rate of its rollouts)
        v_i  = max(0, target - r_i)

    and arms ~ softmax(v / T). The first pass rate is taken as it is; until then r = 0.
    RuleReasoner, https://arxiv.org/abs/2506.08672, section on domain-aware dynamic sampling, whose
    epsilon cancels in the softmax. The release holds this rule in ``compute_weights_v2``, which it
    never calls. The one it calls does not smooth, has an effective target of 0.52, fills quotas
    instead of drawing and moves every 8 steps: a flatter preference. An arm that cannot be learned
    is asked for ever, but never alone.

    Parameters
    ----------
    smoothing : float in [0, 1], default 0.5
        Weight s of the old value.
    target : float in (0, 1], default 1.0
        Pass rate at which an arm needs no more than its share.
    temperature : float > 0, default 0.3
        Temperature T; lower is greedier.
    draw : {"slot", "step"}, default "slot"
        See ``ArmCurriculum``.
    """

    paper: ClassVar[str] = "RuleReasoner, arXiv:2506.08672"
    unit: ClassVar[str] = "arm"
    signal: ClassVar[str] = "pass rate below a target"
    use: ClassVar[str] = "every domain is to reach the same target"

    smoothing: float = number(0.5, 0, 1)
    target: float = number(1.0, 0, 1, open_low=True)
    temperature: float = number(0.3, 0, open_low=True)
    reward: NDArray[np.float64] = per_arm(np.nan)
    """Smoothed pass rate r of every arm, shape (arms,), in [0, 1]; NaN before its first."""

    def gaps(self) -> NDArray[np.float64]:
        """How far every arm is below the target, v, shape (arms,), >= 0."""
        return np.maximum(0, self.target - np.nan_to_num(self.reward))

    def score_arms(self) -> NDArray[np.float64]:
        """Gaps over T, shape (arms,)."""
        return self.gaps() / self.temperature

    def update_arms(self, groups: Groups) -> None:
        """Smooth the pass rate of the arms observed."""
        rollouts = np.bincount(groups.arms, groups.rollouts, self.n_arms)
        arms = np.flatnonzero(rollouts)
        rates = np.bincount(groups.arms, groups.solved, self.n_arms)[arms] / rollouts[arms]
        old = np.where(np.isnan(self.reward[arms]), rates, self.reward[arms])
        self.reward[arms] = self.smoothing * old + (1 - self.smoothing) * rates

    def metrics(self) -> dict[str, float]:
        """Add the gap to the target per arm."""
        return super().metrics() | self.arm_metrics("gap", self.gaps())
