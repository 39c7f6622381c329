"""GAIN-RL: a Gaussian that moves over prompts ranked by their angle concentration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.contract import PromptCurriculum, per_run
from sparft_plugin.curriculum.ledger import Remap
from sparft_plugin.curriculum.options import check_file, number, read_numbers, whole
from sparft_plugin.curriculum.pool import PromptPool
from sparft_plugin.curriculum.records import Groups
from sparft_plugin.errors import SparftError

MEND = "write it with `sparft angles IN... -o ANGLES.jsonl --model FOLDER`."


@dataclass(eq=False)
class GainRLCurriculum(PromptCurriculum):
    """Train on prompts whose hidden states point one way first, and move on as they are solved.

    Prompts are ranked by angle, highest first, and drawn without replacement with probability
    proportional to exp(-(rank - mu)^2 / (2 sigma^2)). mu starts at 0; at an observation

        mu <- mu + max(0, n tanh(a (accuracy - b)) + n tanh(a angle))

    with the means over its rollouts and its prompts. Angles Don't Lie, Wang et al. 2025,
    https://arxiv.org/abs/2506.02281: angle-based reordering, Gaussian sampling, dynamic update.
    This is the rule of the release's TRL script, which draws around the mean of the step before
    and lets it leave the ranks; here the new mean counts, and stays at the last rank. Its verl
    trainer has tanh(a (accuracy / 2 - b)), so moves far more slowly. Angles are those before
    training, of the final norm's output (``sparft angles``); the release reads the input of the
    last ``mlp.up_proj``.

    Parameters
    ----------
    angles : path
        JSON lines ``{"id", "angle"}`` for every prompt of the pool.
    n : float > 0, default 500
        Ranks that each of the two terms can move the mean by.
    sigma : float > 0, default 1000
        Standard deviation in ranks.
    corpus : int >= 1 or None, default 7500
        Prompts that n and sigma are meant for (GSM8K and MATH in the paper): in a pool of another
        size both are multiplied by size / corpus. None takes them as they are.
    a : float > 0, default 2.0
        How sharply the mean follows accuracy and angle.
    b : float in [0, 1], default 0.5
        Accuracy above which the mean moves faster than by the angle alone.
    candidates : int >= 1 or None, default None
        See ``PromptCurriculum``.
    """

    paper: ClassVar[str] = "GAIN-RL, arXiv:2506.02281"
    unit: ClassVar[str] = "prompt"
    signal: ClassVar[str] = "pass rate, and angles from `sparft angles`"
    use: ClassVar[str] = "no labels, but one forward pass over the prompts"

    angles: str = field(kw_only=True)
    n: float = number(500, 0, open_low=True)
    sigma: float = number(1000, 0, open_low=True)
    corpus: int | None = whole(7500, 1, null=True)
    a: float = number(2.0, 0, open_low=True)
    b: float = number(0.5, 0, 1)
    angle: NDArray[np.float32] = field(init=False, repr=False)
    rank: NDArray[np.int32] = field(init=False, repr=False)
    """Place of each prompt when sorted by angle, 0 = highest."""
    mean: float = per_run(0.0)
    """mu, in ranks."""
    ranked: PromptPool | None = field(init=False, repr=False, default=None)
    """Pool that ``angle`` and ``rank`` are of; the file is read once for each."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_file("angles", self.angles, MEND)

    def begin(self) -> None:
        """Rank the prompts."""
        if self.ranked is self.pool:
            return
        angles = read_numbers(self.angles, ("angle",), self.pool.ids)[:, 0]
        missing = np.flatnonzero(np.isnan(angles))
        if len(missing):
            raise SparftError(
                f"{self.angles} lacks {len(missing)} of {len(self.pool)} prompts, such as "
                f"{self.pool.ids[missing[0]].decode()}; {MEND}"
            )
        self.angle = angles.astype(np.float32)
        self.rank = np.empty(len(self.pool), dtype=np.int32)
        self.rank[np.argsort(-self.angle, kind="stable")] = np.arange(len(self.pool))
        self.ranked = self.pool

    @property
    def scale(self) -> float:
        """Ranks of this pool for one of the ranks that n and sigma count."""
        return 1.0 if self.corpus is None else len(self.pool) / self.corpus

    def score_prompts(self, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Log-weight plus Gumbel noise, whose largest are a weighted draw without replacement."""
        z = (self.rank[positions] - self.mean) / (self.sigma * self.scale)
        noise = -np.log(self.rng.standard_exponential(len(positions)))
        return noise - 0.5 * z * z

    def update_prompts(self, groups: Groups) -> None:
        """Move the mean by accuracy and angle."""
        accuracy = groups.solved.sum() / groups.rollouts.sum()
        angle = self.angle[groups.prompts].mean(dtype=np.float64)
        move = np.tanh(self.a * (accuracy - self.b)) + np.tanh(self.a * angle)
        moved = self.mean + self.n * self.scale * max(0.0, float(move))
        self.mean = min(moved, len(self.pool) - 1.0)

    def load_rule_state(self, state: Mapping[str, Any], remap: Remap) -> None:
        """Restore the mean, inside the ranks of this pool."""
        self.mean = min(state["mean"], len(self.pool) - 1.0)

    def metrics(self) -> dict[str, float]:
        """Add the mean rank, as it is and as a share of the pool."""
        share = self.mean / max(1, len(self.pool) - 1)
        return super().metrics() | {"mean_rank": self.mean, "mean_rank_share": share}
