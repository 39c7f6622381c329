"""Scale raw intrinsic rewards to [0, 1] by what was seen lately."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError
from sparft_plugin.memory.options import check_whole

EPS = 1e-8
# Both raw rewards are of order 1 and come from float32 embeddings: a spread below this is
# rounding of the encoder, and stretching it to [0, 1] would pay noise in full.
FLAT = 1e-6


@dataclass(eq=False)
class WindowNormalizer:
    """Min-max scaling by the last `window` raw values of earlier steps.

    R -> (R - min_w) / (max_w - min_w + eps), https://arxiv.org/abs/2504.02273. Decisions where
    the paper is silent: the statistics are those of former steps and stand still while a step is
    scored, so the result does not depend on the order inside a batch; a value outside the window's
    range is therefore possible and is clipped to [0, 1]; an empty window, and one whose values are
    all equal (max - min <= ``FLAT``), give 0.

    Parameters
    ----------
    window : int >= 1, default 100
        Number w of raw values that are kept.

    Attributes
    ----------
    values : float64 (m,), m <= window
        The raw values in the window, oldest first.
    """

    window: int = 100
    values: NDArray[np.float64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_whole("window", self.window, 1)
        self.values = np.empty(0)

    def normalize(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scale raw values; nothing is recorded.

        Parameters
        ----------
        raw : float64 (n,)
            NaN stands for "there was nothing to compare with" and gives 0.

        Returns
        -------
        float64 (n,) in [0, 1]
        """
        if not self.values.size:
            return np.zeros(len(raw))
        low, high = self.values.min(), self.values.max()
        if high - low <= FLAT:
            return np.zeros(len(raw))
        scaled: NDArray[np.float64] = np.clip((raw - low) / (high - low + EPS), 0.0, 1.0)
        return np.where(np.isnan(raw), 0.0, scaled)

    def record(self, raw: NDArray[np.float64]) -> None:
        """Append raw values, float64 (n,), in order; NaN is left out, the oldest give way."""
        self.values = np.concatenate([self.values, raw[~np.isnan(raw)]])[-self.window :]

    def restore(self, values: NDArray[Any]) -> None:
        """Put back a saved window.

        Raises
        ------
        SparftError
            If it is not a list of at most `window` finite numbers.
        """
        if values.dtype != np.float64 or values.ndim != 1 or not np.isfinite(values).all():
            raise SparftError("a saved window of the memory must be finite float64 of shape (m,).")
        if len(values) > self.window:
            raise SparftError(
                f"a saved window of the memory holds {len(values)} values, more than "
                f"sparft.memory.window={self.window}."
            )
        self.values = values.copy()
