"""Mixture: arms in fixed proportions, and which proportions pilot runs ask for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparft_plugin.curriculum.contract import ArmCurriculum
from sparft_plugin.curriculum.records import Groups
from sparft_plugin.errors import SparftError
from sparft_plugin.options import check_number

OPTION = "sparft.curriculum.weights"
# An arm of weight 0 has a weight still, so that it can be drawn where no other arm is open.
NEVER = 1e-300
MOST_ARMS = 16


@dataclass(eq=False)
class MixtureCurriculum(ArmCurriculum):
    """Draw arms by fixed weights; learns nothing.

    P(arm i) = w_i, with w on the simplex. MoDoMoDo, https://arxiv.org/abs/2505.24871, finds w with
    a quadratic fitted to the scores of a few pilot runs, as ``fit_mixture`` does.

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
            if int(arm) in found:
                raise SparftError(f"{OPTION} names the arm {int(arm)} twice; give it one weight.")
            found[int(arm)] = check_number(f"{OPTION} of arm {arm}", weight, 0, 1)
        return found

    def begin(self) -> None:
        """Lay the weights over the pool's arms; one of positive weight must have prompts."""
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
        found: NDArray[np.float64] = np.log(np.maximum(self.share, NEVER))
        return found

    def update_arms(self, groups: Groups) -> None:
        """Nothing to learn."""

    def metrics(self) -> dict[str, float]:
        """Add the weight per arm, to compare with its picks."""
        return super().metrics() | self.arm_metrics("weight", self.share)


def fit_mixture(
    pilot_weights: ArrayLike, pilot_scores: Sequence[float], ridge: float = 0.0
) -> NDArray[np.float64]:
    """Weights that a quadratic model of the pilot runs expects to score best.

    MoDoMoDo, https://arxiv.org/abs/2505.24871: score(w) ~ a + b.w + w'Cw, fitted by least squares.
    As the weights sum to 1, a and b.w are contained in w'Cw, so only a symmetric C is fitted. Its
    maximum is exact: the best stationary point over all faces of the simplex.

    Parameters
    ----------
    pilot_weights : array_like, shape (runs, arms)
        Weights that each pilot run was trained with, each row on the simplex; at most 16 arms.
    pilot_scores : sequence of float, shape (runs,)
        Higher is better.
    ridge : float >= 0, default 0.0
        Penalty on the squares of C. With 0 the runs must determine C, arms (arms + 1) / 2 numbers.

    Returns
    -------
    ndarray of float64, shape (arms,)
        The best weights, for ``sparft.curriculum.weights``.
    """
    weights = np.asarray(pilot_weights, dtype=np.float64)
    scores = np.asarray(pilot_scores, dtype=np.float64)
    _check(weights, scores, ridge)
    arms = weights.shape[1]
    left, right = np.triu_indices(arms)
    features = weights[:, left] * weights[:, right]
    if not ridge and np.linalg.matrix_rank(features) < len(left):
        raise SparftError(
            f"{len(scores)} pilot runs do not determine the {len(left)} numbers of a quadratic in "
            f"{arms} arms; add runs with other weights, or give a ridge above 0."
        )
    padded = np.vstack([features, np.sqrt(ridge) * np.eye(len(left))])
    target = np.concatenate([scores - scores.mean(), np.zeros(len(left))])
    terms = np.linalg.lstsq(padded, target, rcond=None)[0]
    form = np.zeros((arms, arms))
    form[left, right] = terms
    return maximise((form + form.T) / 2)


def maximise(form: NDArray[np.float64]) -> NDArray[np.float64]:
    """Point of the simplex where w'Cw, C symmetric, is largest; of equals, that of fewest arms."""
    arms = len(form)
    best, highest = np.full(arms, 1 / arms), -np.inf
    for size in range(1, arms + 1):
        for face in map(list, combinations(range(arms), size)):
            # Where 2Cw is the same for all arms of the face, and w sums to 1.
            system = np.ones((size + 1, size + 1))
            system[:size, :size] = 2 * form[np.ix_(face, face)]
            system[:size, size], system[size, size] = -1, 0
            try:
                point = np.linalg.solve(system, np.eye(size + 1)[size])[:size]
            except np.linalg.LinAlgError:
                # The face is flat in some direction, so its best point is on a smaller one too.
                continue
            if not (point > 0).all() or abs(point.sum() - 1) > 1e-6:
                continue
            found = np.zeros(arms)
            found[face] = point / point.sum()
            value = float(found @ form @ found)
            if value > highest + 1e-12 * max(1.0, abs(value)):
                best, highest = found, value
    return best


def _check(weights: NDArray[np.float64], scores: NDArray[np.float64], ridge: float) -> None:
    if weights.ndim != 2 or scores.shape != weights.shape[:1] or not scores.size:
        raise SparftError(
            f"pilot weights of shape {weights.shape} and scores of shape {scores.shape} do not "
            "belong together; give a row of weights and a score for each run."
        )
    if weights.shape[1] > MOST_ARMS:
        raise SparftError(
            f"a mixture of {weights.shape[1]} arms is too many; merge to {MOST_ARMS}."
        )
    off = ~((weights >= 0).all(axis=1) & (np.abs(weights.sum(axis=1) - 1) <= 1e-6))
    if off.any():
        raise SparftError(
            f"pilot run {int(off.argmax())} has weights that do not sum to 1, or < 0."
        )
    if not np.isfinite(scores).all() or not 0 <= ridge < np.inf:
        raise SparftError("pilot scores must be finite, and ridge at least 0.")
