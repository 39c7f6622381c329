"""Self-Evolving Curriculum: a Boltzmann bandit on the mean absolute advantage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.contract import ArmCurriculum, per_arm
from sparft_plugin.curriculum.options import choice, number
from sparft_plugin.curriculum.records import Groups


@dataclass(eq=False)
class SecCurriculum(ArmCurriculum):
    """Prefer the arms whose groups still move the policy.

    After every observation, for each arm c with groups in it:

        r_c = mean over the groups of mean |A|
        Q_c <- (1 - a) Q_c + a r_c          Q_c = 0 at first

    and arms ~ softmax(Q / T). Self-Evolving Curriculum (SEC), https://arxiv.org/abs/2505.14970,
    section 3: a TD(0) update of a non-stationary bandit, drawn by a Boltzmann distribution.

    An arm that is never solved, or always, has advantages of 0 and is drawn ever less.

    Parameters
    ----------
    learning_rate : float in (0, 1], default 0.5
        Step size a.
    temperature : float > 0, default 0.4
        Temperature T; lower is greedier. The paper uses 0.2 to 1.0, by task; 0.4 is its
        mathematics.
    unsampled : {"keep", "decay"}, default "keep"
        Arms without a group in an observation keep their Q, as in the paper, or decay as if r were
        0, as in the released code. With feedback that arrives group by group, "decay" forgets
        quickly.
    draw : {"slot", "step"}, default "slot"
        See ``ArmCurriculum``.
    """

    paper: ClassVar[str] = "Self-Evolving Curriculum, arXiv:2505.14970"
    unit: ClassVar[str] = "arm"
    signal: ClassVar[str] = "mean absolute advantage"
    use: ClassVar[str] = "arms differ in what they still teach"
    needs_group: ClassVar[bool] = True

    learning_rate: float = number(0.5, 0, 1, open_low=True)
    temperature: float = number(0.4, 0, open_low=True)
    unsampled: str = choice("keep", "decay")
    value: NDArray[np.float64] = per_arm()
    """Q of every arm, shape (arms,), >= 0."""

    def score_arms(self) -> NDArray[np.float64]:
        """Q / T, shape (arms,)."""
        return self.value / self.temperature

    def update_arms(self, groups: Groups) -> None:
        """Move Q of the arms observed towards their mean absolute advantage."""
        arms, signals = groups.mean_by_arm(groups.abs_advantages)
        moved = self.value[arms] + self.learning_rate * (signals - self.value[arms])
        if self.unsampled == "decay":
            self.value *= 1 - self.learning_rate
        self.value[arms] = moved

    def metrics(self) -> dict[str, float]:
        """Add Q per arm."""
        return super().metrics() | self.arm_metrics("value", self.value)
