"""A logged run in place of a learner: the k-th pick of a prompt is answered by its k-th visit."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum import PromptPool
from sparft_plugin.errors import SparftError
from sparft_plugin.simulate.run import Setting, World


class Replay:
    """Answers are resampled from the log of a real run.

    The k-th time that a prompt is trained on, its rollouts are drawn with replacement from those
    that the log holds of its k-th visit, from then on from its last. So a prompt gets better only
    by being picked, and transfer between prompts, which the log cannot show for picks that were
    not made, is left out. The target distribution is all logged prompts at their present visit.

    Parameters
    ----------
    ids : sequence of str
        The n prompts.
    arms : ndarray of int, shape (n,)
        Their arms.
    visits : ndarray of float64, shape (n, v)
        Mean accuracy at each visit, as ``RolloutHistory.curves``; NaN after the last. Prompts
        without a visit are left out.

    Raises
    ------
    SparftError
        If no prompt was visited.
    """

    def __init__(
        self, ids: Sequence[str], arms: NDArray[np.integer], visits: NDArray[np.float64]
    ) -> None:
        names = np.array([name.encode() for name in ids])
        order = np.argsort(names)
        order = order[~np.isnan(visits[order, 0])]
        if not len(order):
            raise SparftError("the log holds no rollouts of these prompts; name the run's data.")
        self._visits = visits[order]
        self._last = (~np.isnan(self._visits)).sum(axis=1) - 1
        self._visit = np.zeros(len(order), dtype=np.int64)
        self.left_out = len(ids) - len(order)
        """Prompts that the log does not hold."""
        self.pool = PromptPool(names[order], arms[order].astype(np.int32), 1 - self._visits[:, 0])
        self.learned = np.ones(self.pool.n_arms, dtype=np.bool_)

    def pass_rates(self, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Accuracy that the log holds for the present visit of some prompts."""
        rates: NDArray[np.float64] = self._visits[positions, self._visit[positions]]
        return rates

    def train(self, positions: NDArray[np.int64], accuracies: NDArray[np.float64]) -> None:
        """Move every prompt that was picked to its next visit."""
        picked = np.unique(positions)
        self._visit[picked] = np.minimum(self._visit[picked] + 1, self._last[picked])

    def target_pass_rate(self) -> float:
        """Mean over all logged prompts of the accuracy at their present visit."""
        return float(self.pass_rates(np.arange(len(self._visit))).mean())


@dataclass(frozen=True, kw_only=True)
class LoggedRun(Setting):
    """A log that is replayed from its beginning, the same for every seed."""

    log: Replay

    def world(self, seed: int) -> World:
        """Give a replay of its own."""
        return copy.deepcopy(self.log)
