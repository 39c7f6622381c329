"""Mixture: arms in fixed proportions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.arms import ArmCurriculum
from sparft_plugin.curriculum.groups import Groups
from sparft_plugin.errors import SparftError

OPTION = "sparft.curriculum.weights"
# An arm of weight 0 has a weight still, so that it can be drawn where no other arm is open.
NEVER = 1e-300


@dataclass(eq=False)
class MixtureCurriculum(ArmCurriculum):
    """Draw arms by fixed weights; learns nothing.

    P(arm i) = w_i, with w on the simplex. MoDoMoDo, https://arxiv.org/abs/2505.24871, finds w with
    a quadratic fitted to the scores of a few pilot runs, as ``mixture_fit.fit_mixture`` does.

    Parameters
    ----------
    weights : mapping of arm to float, sequence of float, or None, default None
        Share of each arm, >= 0, summing to 1; arms that are not named have 0. None gives every arm
        that has prompts the same. An arm of weight 0 is drawn only if the others have given all
        their prompts to a batch.
    draw : {"slot", "step"}, default "slot"
        See ``ArmCurriculum``.
    """

    paper: ClassVar[str] = "MoDoMoDo, arXiv:2505.24871"
    unit: ClassVar[str] = "arm"
    signal: ClassVar[str] = "none"
    use: ClassVar[str] = "pilot runs have shown which shares are good"

    weights: Mapping[Any, float] | Sequence[float] | None = None
    share: NDArray[np.float64] = field(init=False, repr=False)
    """Weight of every arm, shape (arms,)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        given = self._by_arm().values()
        if self.weights is not None and abs(math.fsum(given) - 1) > 1e-6:
            raise SparftError(f"{OPTION} must sum to 1, not to {math.fsum(given):.6g}.")

    def _by_arm(self) -> dict[int, float]:
        """Weights by arm number."""
        if self.weights is None:
            return {}
        if isinstance(self.weights, str) or not isinstance(self.weights, (Mapping, Sequence)):
            raise SparftError(f"{OPTION}={self.weights!r} must be a mapping of arms, or a list.")
        pairs = self.weights if isinstance(self.weights, Mapping) else enumerate(self.weights)
        found: dict[int, float] = {}
        for arm, weight in dict(pairs).items():
            # A key of a command line is text.
            if isinstance(arm, bool) or not str(arm).isdecimal():
                raise SparftError(f"{OPTION} names the arm {arm!r}; name arms by their number.")
            number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
            if not number or not 0 <= weight <= 1:
                raise SparftError(
                    f"{OPTION} of arm {arm} must be a number in [0, 1], not {weight!r}."
                )
            if int(arm) in found:
                raise SparftError(f"{OPTION} names the arm {int(arm)} twice; give it one weight.")
            found[int(arm)] = float(weight)
        return found

    def begin(self) -> None:
        """Lay the weights over the pool's arms.

        Raises
        ------
        SparftError
            If an arm of positive weight has no prompts.
        """
        super().begin()
        filled = self.passes.sizes > 0
        self.share = filled / filled.sum() if self.weights is None else np.zeros(self.n_arms)
        for arm, weight in self._by_arm().items():
            if weight > 0 and (arm >= self.n_arms or not filled[arm]):
                raise SparftError(
                    f"{OPTION} gives arm {arm} the weight {weight:g}, but it has no prompts; "
                    f"the arms with prompts are {np.flatnonzero(filled).tolist()}."
                )
            if weight > 0:
                self.share[arm] = weight

    def score_arms(self) -> NDArray[np.float64]:
        """Logarithms of the weights, shape (arms,)."""
        logs: NDArray[np.float64] = np.log(np.maximum(self.share, NEVER))
        return logs

    def update_arms(self, groups: Groups) -> None:
        """Nothing to learn."""

    def metrics(self) -> dict[str, float]:
        """Add the weight per arm, to compare with its picks."""
        return super().metrics() | self.arm_metrics("weight", self.share)
