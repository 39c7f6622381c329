"""How often each arm wins a Thompson draw, without drawing."""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

COARSE, FINE = 33, 97
BLOCK = 12
"""Points at a time: arrays for a thousand arms then fit into a processor's cache."""
_SURE = 1e-6
_REACH, _PER_UNIT = 8, 512


@lru_cache(maxsize=1)
def _table() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values of the normal distribution function on a grid, and the steps between them."""
    from scipy.special import ndtr

    values = ndtr(np.arange(-_REACH * _PER_UNIT, _REACH * _PER_UNIT + 2) / _PER_UNIT)
    return values, np.diff(values)


def normal_below(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard normal distribution function within 2e-7, above 0, at a third of the usual cost."""
    values, steps = _table()
    place = np.clip(z, -_REACH, _REACH)
    place += _REACH
    place *= _PER_UNIT
    below = place.astype(np.intp)
    place -= below
    found: NDArray[np.float64] = values[below] + place * steps[below]
    return found


def chance_of_best(
    means: NDArray[np.float64], deviations: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Probability that an arm's draw is the largest of independent normal draws.

    P_k = integral of prod_{j != k} Phi((x - m_j) / s_j) d Phi((x - m_k) / s_k), by the trapezoid
    rule over the increments of the k-th distribution function, so that an arm with a narrow
    posterior is not missed between two points. The error is below 0.002, and below 0.02 where a
    posterior is much narrower than the distance of two points.

    Parameters
    ----------
    means, deviations : ndarray of float64, shape (arms,)
        Posterior means, and deviations above 0.

    Returns
    -------
    ndarray of float64, shape (arms,)
        Probabilities that add up to 1.
    """

    def below(points: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
        """Chance that each arm's draw lies below each point, shape (points, arms)."""
        return normal_below((points - means) / deviations)

    # The largest draw lies above every arm's low end, so that no chance is below Phi(-6), and
    # mostly in a narrow part of the range.
    low, high = (means - 6 * deviations).max(), (means + 6 * deviations).max()
    coarse = np.linspace(low, high, COARSE)
    first = bisect_left(coarse, True, key=lambda point: below(point).prod() > _SURE)
    last = bisect_left(coarse, True, key=lambda point: below(point).prod() >= 1 - _SURE) - 1
    if first <= last:
        low, high = coarse[max(first - 1, 0)], coarse[min(last + 1, COARSE - 1)]
    points = np.linspace(low, high, FINE)[:, None]
    # What lies below the grid wins together with the grid's first point.
    wins = below(points[0]).prod() * np.ones(len(means))
    for start in range(0, FINE - 1, BLOCK):
        chances = below(points[start : start + BLOCK + 1])
        others = chances.prod(axis=1, keepdims=True) / chances
        steps = np.diff(chances, axis=0) / 2
        wins += np.einsum("pa,pa->a", steps, others[1:])
        wins += np.einsum("pa,pa->a", steps, others[:-1])
    shares: NDArray[np.float64] = wins / wins.sum()
    return shares
