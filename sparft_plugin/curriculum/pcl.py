"""Prompt Curriculum Learning: a value model that predicts pass rates from embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.contract import PromptCurriculum, per_run
from sparft_plugin.curriculum.ledger import Remap
from sparft_plugin.curriculum.options import number, whole
from sparft_plugin.curriculum.records import Groups
from sparft_plugin.curriculum.threads import one_thread

BLOCK = 65_536


@dataclass(eq=False)
class PclCurriculum(PromptCurriculum):
    """Of k m candidates, keep the m whose predicted pass rate is nearest to tau.

    min over m of |V(x) - tau|, with V fitted to the pass rates of past groups. Prompt Curriculum
    Learning, Gao et al. 2025, https://arxiv.org/abs/2510.01135, Algorithm 1. There V is a language
    model that takes a gradient step on every batch; here it is a ridge regression (scikit-learn)
    on the prompts' embeddings, fitted anew at every observation to the newest groups, its
    predictions clipped to [0, 1]. Before the first observation all prompts are alike.

    Parameters
    ----------
    candidates : int >= 1 or None, default 4
        k; None predicts for every prompt. The default is ours.
    tau : float in [0, 1], default 0.5
        Pass rate to be near to.
    buffer : int >= 1, default 2048
        Newest groups that V is fitted to; fewer follow the learner faster.
    ridge : float > 0, default 1.0
        Penalty on the squared weights; larger keeps predictions nearer to the mean.
    """

    paper: ClassVar[str] = "Prompt Curriculum Learning, arXiv:2510.01135"
    unit: ClassVar[str] = "prompt"
    signal: ClassVar[str] = "pass rate by embedding"
    use: ClassVar[str] = "a large corpus, of which few prompts are met twice"
    needs_embeddings: ClassVar[bool] = True

    candidates: int | None = 4
    tau: float = number(0.5, 0, 1)
    buffer: int = whole(2048, 1)
    ridge: float = number(1.0, 0, open_low=True)
    intercept: float = per_run()
    error: float = per_run(0.0)
    """Mean absolute error on the last observation, before it was learned."""
    weights: NDArray[np.float64] = per_run()
    """Of V, shape (d,)."""
    recent: NDArray[np.int64] = per_run()
    """Positions of the prompts of the newest groups, oldest first."""
    rates: NDArray[np.float64] = per_run()
    """Pass rates of those groups."""

    @property
    def embeddings(self) -> NDArray[np.float32]:
        """Those of the pool, shape (n, d)."""
        assert self.pool.embeddings is not None
        return self.pool.embeddings

    def begin(self) -> None:
        """Predict tau for every prompt."""
        self.weights, self.intercept = np.zeros(self.embeddings.shape[1]), float(self.tau)
        self.recent, self.rates = np.empty(0, dtype=np.int64), np.empty(0)

    def predict(self, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Predicted pass rate of some prompts, in [0, 1]."""
        weights = self.weights.astype(np.float32)
        # In blocks, so that a million prompts need no second copy of their embeddings.
        blocks = [positions[i : i + BLOCK] for i in range(0, len(positions), BLOCK)]
        with one_thread():
            values = [(self.embeddings[block] @ weights).astype(np.float64) for block in blocks]
        return np.clip(np.concatenate(values) + self.intercept, 0, 1)

    def score_prompts(self, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Negated distance of the predicted pass rate to tau."""
        return -np.abs(self.predict(positions) - self.tau)

    def update_prompts(self, groups: Groups) -> None:
        """Put the groups into the buffer and fit V to it."""
        self.error = float(np.abs(self.predict(groups.prompts) - groups.pass_rates).mean())
        self.recent = np.concatenate([self.recent, groups.prompts])[-self.buffer :]
        self.rates = np.concatenate([self.rates, groups.pass_rates])[-self.buffer :]
        self._fit()

    def _fit(self) -> None:
        from sklearn.linear_model import Ridge

        features = self.embeddings[self.recent].astype(np.float64)
        with one_thread():
            model = Ridge(alpha=self.ridge, solver="cholesky").fit(features, self.rates)
        self.weights, self.intercept = np.asarray(model.coef_), float(model.intercept_)

    def load_rule_state(self, state: Mapping[str, Any], remap: Remap) -> None:
        """Restore the value model and its buffer, without groups of prompts that are gone.

        If the embeddings have another width now, the model is fitted to the buffer.
        """
        width = len(self.weights)
        super().load_rule_state(state, remap)
        moved = remap.to[self.recent]
        self.recent, self.rates = moved[moved >= 0], self.rates[moved >= 0]
        if len(self.weights) != width:
            self.weights, self.intercept = np.zeros(width), float(self.tau)
            if len(self.recent):
                self._fit()

    def metrics(self) -> dict[str, float]:
        """Add the model's error on the last observation and the size of its buffer."""
        return super().metrics() | {
            "value_error": self.error,
            "value_buffer": float(len(self.recent)),
        }
