"""Memory-R+: be close to what succeeded, and unlike what failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.memory.archive import Arrays
from sparft_plugin.memory.base import MemoryGroup, Terms
from sparft_plugin.memory.memory_r import MemoryR, by_group, members, stacked_queries
from sparft_plugin.memory.normalize import WindowNormalizer
from sparft_plugin.memory.options import check_number, check_whole
from sparft_plugin.memory.store import EpisodicStore
from sparft_plugin.memory.vectors import cosines, unit_rows


@dataclass(eq=False)
class MemoryRPlus(MemoryR):
    """Memory-R plus pay for novelty against the failures of the nearest known queries.

    R_e = 1 - max over b in B(M_f, q) of cos(a, b), scaled to [0, 1] by a window of its own;
    R_mem = beta_s R_s + beta_e R_e. Le et al. 2025, https://arxiv.org/abs/2504.02273. While M_f is
    empty R_e is 0 and no raw value enters its window. During the warm-up R_e pays 0, but failures
    are stored and raw values recorded from the first step, so that memory and scale are ready
    when it ends.

    Parameters
    ----------
    encoder, neighbors, query_capacity, response_capacity, success_threshold, window, exploit_weight
        See `MemoryR`; the capacities, `neighbors` and `window` hold for each of the two memories.
    explore_weight : float >= 0, default 1.0
        Weight beta_e of the explore term.
    warmup_steps : int >= 0, default 50
        Number of first steps that pay no explore term.

    Raises
    ------
    SparftError
        If an option is out of its range; it is named as ``sparft.memory.<option>``.
    """

    name: ClassVar[str] = "memory_r_plus"

    explore_weight: float = 1.0
    warmup_steps: int = 50
    failures: EpisodicStore = field(init=False, repr=False)
    explore_window: WindowNormalizer = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("explore_weight", self.explore_weight)
        check_whole("warmup_steps", self.warmup_steps, 0)
        self.failures = self.empty_store()
        self.explore_window = WindowNormalizer(self.window)

    def novelty(self, groups: Sequence[MemoryGroup]) -> NDArray[np.float64]:
        """Raw R_e of all rollouts, group after group, (n,); NaN where M_f has nothing."""
        known = self.failures.nearest_each(stacked_queries(groups), self.neighbors)
        return np.concatenate(
            [
                1.0 - cosines(unit_rows(group.responses), unit_rows(near)).max(axis=1)
                if len(near)
                else np.full(len(group.responses), np.nan)
                for group, near in zip(groups, known, strict=True)
            ]
        )

    def terms(self, groups: Sequence[MemoryGroup]) -> list[Terms]:
        """Weighted, normalised R_s and R_e; see `IntrinsicReward.score`."""
        exploit_only = super().terms(groups)
        if self.step < self.warmup_steps:
            return exploit_only
        explore = by_group(self.explore_window.normalize(self.novelty(groups)), groups)
        return [
            Terms(terms.exploit, part, terms.total + self.explore_weight * part)
            for terms, part in zip(exploit_only, explore, strict=True)
        ]

    def remember(self, groups: Sequence[MemoryGroup]) -> None:
        """Record the raw values of the step, then store its successes and failures."""
        super().remember(groups)
        self.explore_window.record(self.novelty(groups))
        for group in groups:
            self.failures.write(
                group.prompt_id, group.query, group.responses[~self.succeeded(group)]
            )

    def metrics(self) -> dict[str, float]:
        """As `MemoryR`, over both memories; a query in both counts once."""
        both = {*self.successes.prompt_ids, *self.failures.prompt_ids}
        return {
            "success": float(self.successes.size),
            "failure": float(self.failures.size),
            "queries": float(len(both)),
            "bytes": float(self.successes.nbytes + self.failures.nbytes),
        }

    def arrays(self) -> Arrays:
        """Return both stores and both windows."""
        stored = {f"failure.{key}": value for key, value in self.failures.arrays().items()}
        return {**super().arrays(), **stored, "explore_window": self.explore_window.values}

    def restore(self, arrays: Arrays, dimension: int | None) -> None:
        """Take over saved arrays; on a SparftError nothing has changed."""
        failures, window = self.empty_store(), WindowNormalizer(self.window)
        failures.restore(members(arrays, "failure."), dimension)
        window.restore(arrays["explore_window"])
        super().restore(arrays, dimension)
        self.failures, self.explore_window = failures, window
