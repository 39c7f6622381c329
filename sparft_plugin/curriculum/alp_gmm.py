"""ALP-GMM: more of the difficulties where the pass rate is changing."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.contract import ArmCurriculum
from sparft_plugin.curriculum.ledger import Remap
from sparft_plugin.curriculum.options import choice, number, whole
from sparft_plugin.curriculum.pool import Passes
from sparft_plugin.curriculum.records import Groups
from sparft_plugin.curriculum.state import fill, pack, unpack
from sparft_plugin.curriculum.threads import one_thread

LEVELS = 1001
REFIT, LEAST_REFIT = 250, 50
"""Groups between two fits: the release's number, and the least that a mixture is fitted to."""
LEARNED = ("last", "share")


@dataclass(eq=False)
class AlpGmmCurriculum(ArmCurriculum):
    """Follow the absolute learning progress (ALP), modelled by a Gaussian mixture.

    A group of difficulty x and pass rate r has ALP = |r - r'|, with r' the last pass rate of the
    nearest difficulty of earlier observations. Every ``refit_every`` groups a Gaussian mixture is
    fitted to their points (x, ALP). A slot then draws a component with probability proportional to
    its mean ALP, and x from that component's density over the difficulties that exist; a share of
    ``random_ratio`` is drawn uniformly over the prompts, as is everything before the first fit.
    Portelas et al. 2019, https://arxiv.org/abs/1910.07224, algorithm 1.

    Difficulties are rounded to 0.001; within one, prompts come in shuffled passes. If a prompt has
    no difficulty, the arm takes its place, and each arm is a component of its own.

    Parameters
    ----------
    random_ratio : float in (0, 1], default 0.2
        Share of slots drawn uniformly over the prompts.
    refit_every : int >= 2 or None, default None
        Groups between two fits, and the latest groups that a fit looks at. None is the release's
        250, or a twelfth of the groups of a shorter run, but at least 50.
    max_components : int >= 1, default 10
        Most Gaussians tried, from 2 on.
    criterion : {"aic", "bic"}, default "aic"
        Chooses the number of Gaussians: Akaike's information criterion, as released, or Bayes'.
    draw : {"slot", "step"}, default "slot"
        See ``ArmCurriculum``.
    """

    paper: ClassVar[str] = "ALP-GMM, arXiv:1910.07224"
    unit: ClassVar[str] = "difficulty, or arm"
    signal: ClassVar[str] = "change of the pass rate"
    use: ClassVar[str] = "progress moves along the scale of difficulty"

    random_ratio: float = number(0.2, 0, 1, open_low=True)
    refit_every: int | None = whole(None, 2)
    max_components: int = whole(10, 1)
    criterion: str = choice("aic", "bic")
    by_difficulty: bool = field(init=False, repr=False)
    levels: NDArray[np.int32] = field(init=False, repr=False)
    """Difficulty of each prompt in thousandths, or its arm, shape (n,)."""
    last: NDArray[np.float64] = field(init=False, repr=False)
    """Last pass rate of every level, shape (levels,); NaN before its first."""
    share: NDArray[np.float64] = field(init=False, repr=False)
    """What the mixture gives every level, shape (levels,), summing to 1; 0 before the first fit."""
    points: NDArray[np.float64] = field(init=False, repr=False)
    """(level, ALP) of the groups since the last fit, shape (m, 2)."""

    def begin(self) -> None:
        """Start without a history."""
        self.by_difficulty = not np.isnan(self.pool.difficulties).any()
        self.levels, count = self.pool.arms, self.n_arms
        if self.by_difficulty:
            rounded = np.rint(self.pool.difficulties * (LEVELS - 1)).clip(0, LEVELS - 1)
            self.levels, count = rounded.astype(np.int32), LEVELS
        self.passes = Passes(self.levels)
        self.last = np.full(count, np.nan)
        self.share = np.zeros(count)
        self.points = np.empty((0, 2))

    def score_arms(self) -> NDArray[np.float64]:
        """Log-probability of every level that a prompt may have, shape (largest level + 1,)."""
        sizes = self.passes.sizes
        uniform = sizes / sizes.sum()
        share = np.where(sizes > 0, self.share[: len(sizes)], 0.0)
        mixed = share / share.sum() if share.any() else uniform
        weights = self.random_ratio * uniform + (1 - self.random_ratio) * mixed
        found: NDArray[np.float64] = np.log(np.where(sizes > 0, weights, 1.0))
        return found

    def update_arms(self, groups: Groups) -> None:
        """Compare the groups with the history, then add them to it; refit when it is time."""
        levels = self.levels[groups.prompts].astype(np.int64)
        known = np.flatnonzero(~np.isnan(self.last))
        near = _nearest(known, levels) if self.by_difficulty and len(known) else levels
        progress = np.abs(groups.pass_rates - self.last[near])
        new = np.stack([levels, progress], axis=1)[~np.isnan(progress)]
        self.points = np.concatenate([self.points, new])
        total = np.bincount(levels, groups.pass_rates, len(self.last))
        count = np.bincount(levels, minlength=len(self.last))
        self.last[count > 0] = total[count > 0] / count[count > 0]
        every, steps = self.refit_every, self.ledger.planned_steps
        if every is None:
            every = REFIT
            if steps is not None:
                every = min(REFIT, max(LEAST_REFIT, steps * len(groups) // 12))
        if len(self.points) >= every:
            self._refit(self.points[-every:])
            self.points = np.empty((0, 2))

    def _refit(self, points: NDArray[np.float64]) -> None:
        levels, progress = points[:, 0].astype(np.int64), points[:, 1]
        share = np.zeros(len(self.share))
        if self.by_difficulty:
            exist = np.flatnonzero(self.passes.sizes)
            share[exist] = progress_by_level(
                levels / (LEVELS - 1),
                progress,
                exist / (LEVELS - 1),
                self.max_components,
                self.criterion,
                seed=int(self.rng.integers(2**31)),
            )
        else:
            seen = np.bincount(levels, minlength=len(share))
            share = np.bincount(levels, progress, len(share)) / np.maximum(seen, 1)
        self.share = share / share.sum() if share.any() else share

    def rule_state(self) -> dict[str, Any]:
        """The passes in progress, and what was learned of the levels."""
        learned = {name: pack(getattr(self, name)) for name in (*LEARNED, "points")}
        return super().rule_state() | learned | {"by_difficulty": self.by_difficulty}

    def load_rule_state(self, state: Mapping[str, Any], remap: Remap) -> None:
        """Restore it, unless difficulties came or went."""
        if state["by_difficulty"] != self.by_difficulty:
            return
        super().load_rule_state(state, remap)
        for name in LEARNED:
            fill(getattr(self, name), state[name])
        points = unpack(state["points"], self.points)
        self.points = points[points[:, 0] < len(self.last)]

    def metrics(self) -> dict[str, float]:
        """Add the points since the last fit, and the mean difficulty or the arms it asks for."""
        metrics = super().metrics() | {"points": float(len(self.points))}
        if self.by_difficulty and self.share.any():
            mean = float(self.share @ np.arange(LEVELS)) / (LEVELS - 1)
            metrics["mixture_difficulty"] = mean
        if not self.by_difficulty:
            metrics |= self.arm_metrics("mixture_share", self.share)
        return metrics


def _nearest(known: NDArray[np.int64], levels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The member of `known`, which increases, that is nearest to each level; of two, the lower."""
    after = np.searchsorted(known, levels)
    low, high = known[np.maximum(after - 1, 0)], known[np.minimum(after, len(known) - 1)]
    return np.where(np.abs(levels - low) <= np.abs(high - levels), low, high)


def progress_by_level(
    difficulties: NDArray[np.float64],
    progress: NDArray[np.float64],
    levels: NDArray[np.float64],
    max_components: int,
    criterion: str,
    seed: int,
) -> NDArray[np.float64]:
    """Share of each level that exists if components are drawn by their mean progress.

    Sums to the sum of the components' mean progress: all 0 if there was none.
    """
    model = fit(np.stack([difficulties, progress], axis=1), max_components, criterion, seed)
    centres, spreads = model.means_[:, :1], model.covariances_[:, :1, 0]
    # A density may underflow at every level, so each component is scaled to its best one.
    logs = -0.5 * (levels - centres) ** 2 / spreads
    densities = np.exp(logs - logs.max(axis=1, keepdims=True))
    densities /= densities.sum(axis=1, keepdims=True)
    # EM may put the mean of zeros a rounding error below zero.
    found: NDArray[np.float64] = np.maximum(model.means_[:, 1], 0) @ densities
    return found


def fit(points: NDArray[np.float64], max_components: int, criterion: str, seed: int) -> Any:
    """Best mixture of 2, 3, ... Gaussians; two worse in a row end the search."""
    from sklearn.mixture import GaussianMixture

    most = min(max_components, len(np.unique(points, axis=0)))
    found: list[tuple[float, Any]] = []
    # Fits are coarse and may not converge: they steer a draw, and the next one comes soon.
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for count in range(min(2, most), most + 1):
            model = GaussianMixture(count, tol=0.01, init_params="k-means++", random_state=seed)
            found.append((getattr(model.fit(points), criterion)(points), model))
            last = [score for score, _ in found[-3:]]
            if len(last) == 3 and last[0] < last[1] < last[2]:
                break
    return min(found, key=lambda pair: pair[0])[1]
