"""Group arithmetic: how likely a group is mixed, and how alike the prompts of an arm are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PRIOR_GROUPS, PRIOR_CORRELATION = 8, 0.2
SMALLEST, LARGEST = 0.02, 0.98


def mixed(pass_rates: NDArray[np.float64], group_size: int) -> NDArray[np.float64]:
    """Chance that a group is neither all right nor all wrong: 1 - p^G - (1 - p)^G."""
    return 1 - pass_rates**group_size - (1 - pass_rates) ** group_size


def expected_mixed(
    right: NDArray[np.float64], wrong: NDArray[np.float64], group_size: int
) -> NDArray[np.float64]:
    """Mean of ``mixed`` over pass rates p ~ Beta(right, wrong), shapes (m,); in closed form.

    E p^G = prod over j < G of (right + j) / (right + wrong + j), and so for 1 - p.
    """
    steps = np.arange(group_size)
    total = (right + wrong)[:, None] + steps
    all_right = np.prod((right[:, None] + steps) / total, axis=1)
    all_wrong = np.prod((wrong[:, None] + steps) / total, axis=1)
    chance: NDArray[np.float64] = 1 - all_right - all_wrong
    return chance


def within_spread(right: NDArray[np.float64], wrong: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unbiased estimate of p (1 - p) from each group of two or more rollouts, shape (m,).

    c (n - c) / (n (n - 1)) for c right of n; 0 for a group of one, which says nothing.
    """
    n = right + wrong
    spread: NDArray[np.float64] = right * wrong / np.maximum(n * (n - 1), 1)
    return np.where(n > 1, spread, 0.0)


def correlation(within: float, whole: float) -> float:
    """Share of the spread of pass rates that lies between prompts, from sums over groups.

    1 - within / whole, with a prior as heavy as 8 groups of an arm of mean 1/2 and correlation
    0.2; between 0.02 and 0.98.

    Parameters
    ----------
    within : float
        Sum of ``within_spread``.
    whole : float
        Sum of m (1 - m), with m the mean pass rate of each group's arm.
    """
    weight = PRIOR_GROUPS / 4
    share = 1 - (within + weight * (1 - PRIOR_CORRELATION)) / (whole + weight)
    return min(LARGEST, max(SMALLEST, share))
