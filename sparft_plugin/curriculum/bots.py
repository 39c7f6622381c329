"""BOTS: posteriors fed by own rollouts and by two reference models."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.contract import PromptCurriculum, per_prompt, per_run
from sparft_plugin.curriculum.options import check_file, number, read_numbers, whole
from sparft_plugin.curriculum.pool import PromptPool
from sparft_plugin.curriculum.records import Groups
from sparft_plugin.errors import SparftError

MEND = 'give {"id", "weak", "strong"} in each line, pass rates in [0, 1].'
LEAST_GAP = 0.01
"""Batches whose reference pass rates differ by less say nothing about the learner's ability."""


@dataclass(eq=False)
class BotsCurriculum(PromptCurriculum):
    """Thompson sampling near a target, with evidence also for prompts that were not rolled out.

    p_i ~ Beta(a_i, b_i); the prompts with the least |p_i - target| are picked. At an observation
    every prompt is updated, and those in it with s right and f wrong of their rollouts:

        a_i <- (1 - lam) a_i + lam + (1 - rho) s_i + rho m q_i
        b_i <- (1 - lam) b_i + lam + (1 - rho) f_i + rho m (1 - q_i)

    q is the observed pass rate of a prompt in the observation. Of any other it lies between the
    pass rates of a weak and a strong model, q = clip(weak + c (strong - weak), 0, 1), with the
    ability c = (pass rate - mean weak) / (mean strong - mean weak) over the observation, smoothed.
    BOTS, https://arxiv.org/abs/2510.26374; code in Trinity-RFT, ``difficulty_estimator.py``, whose
    ability runs away if both models solve a batch alike: here it then keeps its value.

    Parameters
    ----------
    reference : path or None, default None
        JSON lines ``{"id", "weak", "strong"}``: two models' pass rates of each prompt, in [0, 1]. A
        prompt that is missing has own evidence only; None: all have (rho is then 0).
    target : float in [0, 1], default 0.5
        Pass rate to be near to.
    lam, rho : float in [0, 1], default 0.1
        Share by which all evidence fades towards Beta(1, 1) at an observation, and weight of
        interpolated against own evidence.
    m : int >= 1 or None, default None
        Rollouts that interpolated evidence counts for, before rho. None takes the median of the
        groups observed. The release's 16 is its group size; it counts own evidence as m too.
    momentum : float in [0, 1], default 0.9
        Weight of the ability's old value; from the release.
    candidates : int >= 1 or None, default 64
        See ``PromptCurriculum``. The paper draws for every prompt, as None does.
    """

    paper: ClassVar[str] = "BOTS, arXiv:2510.26374"
    unit: ClassVar[str] = "prompt"
    signal: ClassVar[str] = "pass rate, and those of two reference models"
    use: ClassVar[str] = "a weak and a strong model's pass rates are at hand"

    candidates: int | None = 64
    reference: str | None = None
    target: float = number(0.5, 0, 1)
    lam: float = number(0.1, 0, 1)
    rho: float = number(0.1, 0, 1)
    m: int | None = whole(None, 1)
    momentum: float = number(0.9, 0, 1)
    right: NDArray[np.float64] = per_prompt(1.0)
    wrong: NDArray[np.float64] = per_prompt(1.0)
    models: NDArray[np.float32] | None = field(init=False, repr=False, default=None)
    """Pass rates of the weak and the strong model, shape (2, n); NaN where unknown."""
    ability: float | None = per_run()
    """The learner's, between the two models: 0 is the weak one, 1 the strong."""
    read_for: PromptPool | None = field(init=False, repr=False, default=None)
    """Pool that ``models`` is of; the file is read once for each."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reference is not None:
            check_file("reference", self.reference, MEND)

    def begin(self) -> None:
        """Read the pass rates of the two models."""
        path = self.reference
        if path is None or self.read_for is self.pool:
            return
        rates = read_numbers(path, ("weak", "strong"), self.pool.ids)
        if np.isnan(rates).all():
            raise SparftError(f"{path} knows none of the {len(self.pool)} prompts; {MEND}")
        if (rates < 0).any() or (rates > 1).any():
            raise SparftError(f"{path} has a pass rate outside [0, 1]; {MEND}")
        self.models = np.ascontiguousarray(rates.T, dtype=np.float32)
        self.read_for = self.pool

    def score_prompts(self, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Negated distance of a drawn pass rate to the target."""
        drawn = self.rng.beta(self.right[positions], self.wrong[positions])
        return -np.abs(drawn - self.target)

    def update_prompts(self, groups: Groups) -> None:
        """Fade all evidence, then add that of the observation and the interpolated."""
        seen, inverse = np.unique(groups.prompts, return_inverse=True)
        solved = np.bincount(inverse, groups.solved)
        failed = np.bincount(inverse, groups.rollouts - groups.solved)
        rates = solved / (solved + failed)
        for counts in (self.right, self.wrong):
            counts *= 1 - self.lam
            counts += self.lam
        rho = 0.0 if self.models is None else self.rho
        weight = rho * (np.median(groups.rollouts) if self.m is None else self.m)
        self.right[seen] += (1 - rho) * solved + weight * rates
        self.wrong[seen] += (1 - rho) * failed + weight * (1 - rates)
        if self.models is not None:
            self._learn_ability(self.models[:, seen], rates)
        if self.models is not None and self.ability is not None:
            weak, strong = self.models
            evidence = np.clip(weak + np.float32(self.ability) * (strong - weak), 0, 1)
            evidence[seen] = np.nan
            # An unknown rate is evidence for nothing.
            self.right += np.nan_to_num(np.float32(weight) * evidence)
            self.wrong += np.nan_to_num(np.float32(weight) * (1 - evidence))

    def _learn_ability(self, models: NDArray[np.float32], rates: NDArray[np.float64]) -> None:
        known = ~np.isnan(models).any(axis=0)
        weak, strong = models[:, known].mean(axis=1, dtype=np.float64) if known.any() else (0, 0)
        if abs(strong - weak) >= LEAST_GAP:
            ability = float((rates[known].mean() - weak) / (strong - weak))
            old = ability if self.ability is None else self.ability
            self.ability = self.momentum * old + (1 - self.momentum) * ability

    def metrics(self) -> dict[str, float]:
        """Add the mean posterior pass rate, the ability and the prompts with reference rates."""
        metrics = super().metrics()
        metrics["posterior_mean"] = float((self.right / (self.right + self.wrong)).mean())
        if self.models is not None:
            metrics["reference_prompts"] = float((~np.isnan(self.models).any(axis=0)).sum())
        if self.ability is not None:
            metrics["ability"] = self.ability
        return metrics
