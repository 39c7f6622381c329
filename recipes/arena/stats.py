"""Statistics of paired runs: differences, intervals, tests.

Agarwal et al. 2021, https://arxiv.org/abs/2108.13264, for the interquartile mean, the bootstrap
stratified by task and the probability of improvement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import permutation_test, t, trim_mean

Strata = Mapping[str, NDArray[np.float64]]
"""Values by pool, each of shape (seeds,)."""


class Interval(NamedTuple):
    """An estimate and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def mean_interval(values: NDArray[np.float64]) -> Interval:
    """Mean of at least two values and Student's interval; one value has no ends."""
    if len(values) < 2:
        return Interval(float(values.mean()), -np.inf, np.inf)
    half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    mean = float(values.mean())
    return Interval(mean, mean - half, mean + half)


def fisher_interval(order: float, n: int) -> Interval:
    """Spearman's correlation of n >= 4 pairs, with its interval by Fisher's z.

    The standard error is that of Bonett and Wright 2000, https://doi.org/10.1007/BF02294183.
    """
    half = 1.96 * np.sqrt((1 + order**2 / 2) / (n - 3))
    z = np.arctanh(np.clip(order, -0.9999, 0.9999))
    return Interval(order, float(np.tanh(z - half)), float(np.tanh(z + half)))


def iqm(values: NDArray[np.float64], axis: int | None = None) -> NDArray[np.float64]:
    """Interquartile mean: the mean of the middle half."""
    return trim_mean(values, 0.25, axis=axis)


def iqm_interval(strata: Strata, seed: int = 0, times: int = 10_000) -> Interval:
    """Interquartile mean over all pools and seeds, with its bootstrap interval.

    Seeds are drawn anew inside each pool.
    """
    rng = np.random.default_rng(seed)
    drawn = np.concatenate(
        [
            values[rng.integers(len(values), size=(times, len(values)))]
            for values in strata.values()
        ],
        axis=1,
    )
    low, high = np.quantile(iqm(drawn, axis=1), (0.025, 0.975))
    return Interval(float(iqm(np.concatenate(list(strata.values())))), float(low), float(high))


def improvement(ours: Strata, theirs: Strata) -> float:
    """Probability that a run of ours is above one of theirs in the same pool; a tie is half."""
    shares = []
    for pool, values in ours.items():
        gap = values[:, None] - theirs[pool][None, :]
        shares.append(((gap > 0) + 0.5 * (gap == 0)).mean())
    return float(np.mean(shares))


def p_value(strata: Strata, seed: int = 0) -> float:
    """Two-sided sign-flip test that the mean paired difference over pools and seeds is 0."""
    values = np.concatenate(list(strata.values()))
    if not values.any():
        return 1.0
    found = permutation_test(
        (values,),
        np.mean,
        permutation_type="samples",
        n_resamples=9999,
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number, in the order given (Holm 1979)."""
    adjusted = np.empty(len(p_values))
    highest = 0.0
    for rank, at in enumerate(np.argsort(p_values)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[at]))
        adjusted[at] = highest
    return adjusted.tolist()


def reached(curve: Sequence[tuple[int, float]], target: float, budget: int) -> float:
    """Rollouts until a curve first is at a target, between two points on their line.

    A curve that never is there counts as the whole budget.
    """
    (before, low), *rest = curve
    if low >= target:
        return float(before)
    for at, value in rest:
        if value >= target:
            return before + (at - before) * (target - low) / (value - low)
        before, low = at, value
    return float(budget)


def area(curve: Sequence[tuple[int, float]], budget: int) -> float:
    """Mean of a curve over the budget, in [0, 1]; the last value holds to its end."""
    at, values = (np.array(column, dtype=float) for column in zip(*curve, strict=True))
    at, values = np.append(at, max(budget, at[-1])), np.append(values, values[-1])
    return round(float(np.trapezoid(values, at) / at[-1]), 5)
