"""Weights of a mixture from pilot runs: a quadratic fit, maximised on the simplex."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparft_plugin.errors import SparftError

MOST_ARMS = 16


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
        Score of each run; higher is better.
    ridge : float >= 0, default 0.0
        Penalty on the squares of C. With 0 the runs must determine C, arms (arms + 1) / 2 numbers.

    Returns
    -------
    ndarray of float64, shape (arms,)
        The best weights, for ``sparft.curriculum.weights``.

    Raises
    ------
    SparftError
        If the shapes differ, a row is off the simplex, or the runs are too few or too alike.
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
    """Point of the simplex where w'Cw is largest; of equals, the one of fewest arms.

    Parameters
    ----------
    form : ndarray of float64, shape (arms, arms)
        Symmetric C.
    """
    arms = len(form)
    best, highest = np.full(arms, 1 / arms), -np.inf
    for size in range(1, arms + 1):
        for face in combinations(range(arms), size):
            point = _stationary(form[np.ix_(face, face)])
            if point is None:
                continue
            found = np.zeros(arms)
            found[list(face)] = point
            value = float(found @ form @ found)
            if value > highest + 1e-12 * max(1.0, abs(value)):
                best, highest = found, value
    return best


def _stationary(form: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Point of positive weights where 2Cw is the same for all arms; None if there is none.

    A face whose equations are singular is flat in some direction, so its best point is also on a
    smaller face.
    """
    size = len(form)
    system = np.zeros((size + 1, size + 1))
    system[:size, :size] = 2 * form
    system[:size, size], system[size, :size] = -1, 1
    try:
        point: NDArray[np.float64] = np.linalg.solve(system, np.eye(size + 1)[size])[:size]
    except np.linalg.LinAlgError:
        return None
    if not (point > 0).all() or abs(point.sum() - 1) > 1e-6:
        return None
    scaled: NDArray[np.float64] = point / point.sum()
    return scaled


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
