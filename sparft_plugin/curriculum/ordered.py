"""Ordered: stages from easy to hard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.contract import Curriculum, per_run
from sparft_plugin.curriculum.ledger import Remap
from sparft_plugin.curriculum.options import choice, number, whole
from sparft_plugin.curriculum.pool import Passes
from sparft_plugin.curriculum.records import Groups

STAGE_STEPS = 100
"""Observations of a stage in a run of unknown length."""


@dataclass(eq=False)
class OrderedCurriculum(Curriculum):
    """Train on one stage of difficulty after the other, and stay at the hardest.

    Stage j of S holds the prompts between the quantiles j / S and (j + 1) / S of difficulty, equals
    told apart by id. Inside a stage: shuffled passes without replacement. A batch larger than its
    stage is filled from the harder stages, nearest first, then from the easier ones. As in SARI,
    https://arxiv.org/abs/2504.15900, Curr-ReFT, https://arxiv.org/abs/2503.07065, and VL-Cogito,
    https://arxiv.org/abs/2507.22607.

    Parameters
    ----------
    stages : int >= 1, default 3
        S; a pool of fewer prompts has one stage for each.
    advance : {"steps", "pass_rate"}, default "steps"
        Go on after some observations, or when the stage is solved well enough.
    stage_steps : int >= 1 or None, default None
        Observations (training steps) of a stage, for ``steps``. None shares the steps of the run
        evenly among the stages, or is 100 where the host does not know them.
    threshold : float in [0, 1], default 0.7
        Mean pass rate of the last groups of the stage to go on at, for ``pass_rate``.
    window : int >= 1, default 128
        Groups of the stage that the mean is taken over; with fewer the stage goes on.
    """

    paper: ClassVar[str] = (
        "SARI, arXiv:2504.15900; Curr-ReFT, arXiv:2503.07065; VL-Cogito, arXiv:2507.22607"
    )
    unit: ClassVar[str] = "stage of difficulty"
    signal: ClassVar[str] = "steps, or pass rate"
    use: ClassVar[str] = "the staged baseline, from easy to hard"
    needs_difficulty: ClassVar[bool] = True

    stages: int = whole(3, 1)
    advance: str = choice("steps", "pass_rate")
    stage_steps: int | None = whole(None, 1)
    threshold: float = number(0.7, 0, 1)
    window: int = whole(128, 1)
    stage: int = per_run(0)
    steps: int = per_run(0)
    """Observations since the stage began."""
    recent: NDArray[np.float64] = per_run()
    """Pass rates of the stage's last groups, at most ``window``."""
    stage_of: NDArray[np.int32] = field(init=False, repr=False)
    by_stage: Passes = field(init=False, repr=False)

    def begin(self) -> None:
        """Sort the prompts into stages and stand in the easiest."""
        size = len(self.pool)
        rank = np.empty(size, dtype=np.int64)
        rank[np.argsort(self.pool.difficulties, kind="stable")] = np.arange(size)
        self.stage_of = (rank * min(self.stages, size) // size).astype(np.int32)
        self.by_stage = Passes(self.stage_of)
        self._enter(0)

    def _enter(self, stage: int) -> None:
        self.stage, self.steps, self.recent = stage, 0, np.empty(0)

    @property
    def last_stage(self) -> int:
        """Number of the hardest stage."""
        return len(self.by_stage.sizes) - 1

    def choose(self, n: int) -> NDArray[np.int64]:
        """Take the stage's next prompts, and its neighbours' if it has too few."""
        nearest = [*range(self.stage, self.last_stage + 1), *range(self.stage - 1, -1, -1)]
        rounds = -(-n // len(self.pool))
        numbers = np.repeat(nearest, self.by_stage.sizes[nearest] * rounds)[:n]
        return self.by_stage.batch(numbers, self.rng)

    def learn(self, groups: Groups) -> None:
        """Count the observation and go on if the stage is done."""
        of_stage = self.stage_of[groups.prompts] == self.stage
        self.recent = np.concatenate([self.recent, groups.pass_rates[of_stage]])[-self.window :]
        self.steps += 1
        if self.advance == "steps":
            planned = self.ledger.planned_steps
            share = STAGE_STEPS if planned is None else -(-planned // (self.last_stage + 1))
            done = self.steps >= (self.stage_steps or share)
        else:
            done = len(self.recent) == self.window and self.recent.mean() >= self.threshold
        if done and self.stage < self.last_stage:
            self._enter(self.stage + 1)

    def rule_state(self) -> dict[str, Any]:
        """The stage, what it has seen, and the passes in progress."""
        return super().rule_state() | {"passes": self.by_stage.state()}

    def load_rule_state(self, state: Mapping[str, Any], remap: Remap) -> None:
        """Restore the stage; over a changed pool its passes begin anew."""
        super().load_rule_state(state, remap)
        self.stage = min(self.stage, self.last_stage)
        if remap.same_pool:
            self.by_stage.load(state["passes"])

    def metrics(self) -> dict[str, float]:
        """Add the stage, its steps and the pass rate of its last groups."""
        metrics = super().metrics() | {"stage": float(self.stage), "stage_steps": float(self.steps)}
        if len(self.recent):
            metrics["stage_pass_rate"] = float(self.recent.mean())
        return metrics
