"""DUMP: upper confidence bounds on the absolute advantage of each arm's latest rollouts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.contract import ArmCurriculum, per_arm
from sparft_plugin.curriculum.options import number, whole
from sparft_plugin.curriculum.pool import rank_among_equals
from sparft_plugin.curriculum.records import Groups
from sparft_plugin.errors import SparftError


@dataclass(eq=False)
class DumpCurriculum(ArmCurriculum):
    """Prefer the arms with large advantages or few rollouts.

        UCB_d = mean |A| over the last w rollouts of arm d + sqrt(2 ln(N + 1) / (n_d + 1))

    with n_d the rollouts observed of arm d and N their sum; arms ~ softmax(UCB / T). DUMP,
    https://arxiv.org/abs/2504.09710, section 3, algorithm 1. The release too updates after every
    step from GRPO's advantages; the mean validation reward that it besides pushes into the same
    window is left out.

    Parameters
    ----------
    window : int >= 1, default 300
        Rollouts w that are looked back on, per arm; 8 bytes each.
    temperature : float > 0, default 0.1
        Temperature T; lower is greedier.
    draw : {"slot", "step"}, default "slot"
        See ``ArmCurriculum``.
    """

    paper: ClassVar[str] = "DUMP, arXiv:2504.09710"
    unit: ClassVar[str] = "arm"
    signal: ClassVar[str] = "mean absolute advantage, and counts"
    use: ClassVar[str] = "few arms, of which some are seen seldom"
    needs_group: ClassVar[bool] = True

    window: int = whole(300, 1)
    temperature: float = number(0.1, 0, open_low=True)
    recent: NDArray[np.float64] = per_arm()
    """Ring buffer of absolute advantages, shape (arms, window); 0 where none is yet."""
    count: NDArray[np.int64] = per_arm(0, np.int64)
    """Rollouts observed of each arm, shape (arms,)."""
    mean: NDArray[np.float64] = per_arm()
    """Mean of each arm's window, shape (arms,); 0 while it is empty."""

    def begin(self) -> None:
        """Start with empty windows."""
        super().begin()
        self.recent = np.zeros((self.n_arms, self.window))

    def bounds(self) -> NDArray[np.float64]:
        """Upper confidence bound of every arm, shape (arms,)."""
        total = np.log(self.count.sum() + 1)
        bounds: NDArray[np.float64] = self.mean + np.sqrt(2 * total / (self.count + 1))
        return bounds

    def score_arms(self) -> NDArray[np.float64]:
        """UCB / T, shape (arms,)."""
        return self.bounds() / self.temperature

    def update_arms(self, groups: Groups) -> None:
        """Write the rollouts into their arms' windows, the oldest first."""
        values = np.abs(np.concatenate([outcome.advantages for outcome in groups.outcomes]))
        arms = np.repeat(groups.arms, groups.rollouts)
        new = np.bincount(arms, minlength=self.n_arms)
        rank = rank_among_equals(arms)
        # Only the last of an arm's rollouts fit, so that no slot is written twice.
        fits = rank >= new[arms] - self.window
        slots = (self.count[arms] + rank) % self.window
        self.recent[arms[fits], slots[fits]] = values[fits]
        self.count += new
        seen = np.flatnonzero(new)
        filled = np.minimum(self.count[seen], self.window)
        self.mean[seen] = self.recent[seen].sum(axis=1) / filled

    def rule_state(self) -> dict[str, Any]:
        """The passes in progress, and the length of the windows."""
        return super().rule_state() | {"window": self.window}

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Refuse windows of another length too."""
        super().check_state(state)
        if state["rule"]["window"] != self.window:
            raise SparftError(
                f"the curriculum state has windows of {state['rule']['window']} rollouts, but "
                f"sparft.curriculum.window={self.window}; set it back or start a new run."
            )

    def metrics(self) -> dict[str, float]:
        """Add the mean absolute advantage and the bound per arm."""
        means = self.arm_metrics("abs_advantage", self.mean)
        return super().metrics() | means | self.arm_metrics("ucb", self.bounds())
