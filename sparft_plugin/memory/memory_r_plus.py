"""Memory-R+: be close to what succeeded, and unlike what failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from sparft_plugin.errors import require
from sparft_plugin.memory.archive import Arrays, check_array
from sparft_plugin.memory.base import MemoryGroup, Terms
from sparft_plugin.memory.memory_r import MemoryR
from sparft_plugin.memory.term import NOVELTY, Formula, Term
from sparft_plugin.options import check_number, check_whole


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
    encoder, neighbors, query_capacity, response_capacity, success_threshold, window, normalize, \
exploit_weight, compat, stored, storage
        See `MemoryR`; capacities, `neighbors` and windows hold for each of the two memories.
    explore_weight : float >= 0, default 1.0
        Weight beta_e of the explore term.
    warmup_steps : int >= 0, default 50
        Number of first steps that pay no explore term.
    warmup_failures : int >= 0 or None, default None
        If set, it is not steps that end the warm-up but this number of failures written to the
        memory, whether or not they have been evicted since; `warmup_steps` then has no effect.

    Raises
    ------
    SparftError
        If an option is out of its range; it is named as ``sparft.memory.<option>``.
    """

    name: ClassVar[str] = "memory_r_plus"
    formulas: ClassVar[dict[str, Formula]] = {**MemoryR.formulas, "explore": NOVELTY}

    explore_weight: float = 1.0
    warmup_steps: int = 50
    warmup_failures: int | None = None
    explore: Term = field(init=False, repr=False)
    failures_written: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("sparft.memory.explore_weight", self.explore_weight, 0)
        check_whole("sparft.memory.warmup_steps", self.warmup_steps, 0)
        if self.warmup_failures is not None:
            check_whole("sparft.memory.warmup_failures", self.warmup_failures, 0)

    @property
    def warming_up(self) -> bool:
        """Whether the explore term pays nothing yet."""
        if self.warmup_failures is None:
            return self.step < self.warmup_steps
        return self.failures_written < self.warmup_failures

    def terms(self, groups: Sequence[MemoryGroup]) -> list[Terms]:
        """Weighted, scaled R_s and R_e; see `IntrinsicReward.score`."""
        exploit_only = super().terms(groups)
        if self.warming_up:
            return exploit_only
        return [
            Terms(terms.exploit, part, terms.total + self.explore_weight * part)
            for terms, part in zip(exploit_only, self.explore.score(groups), strict=True)
        ]

    def remember(self, groups: Sequence[MemoryGroup]) -> None:
        """Record the raw values of the step, and store its successes and failures."""
        super().remember(groups)
        self.explore.write(groups)
        self.failures_written += sum(int((~self.succeeded(group)).sum()) for group in groups)

    def metrics(self) -> dict[str, float]:
        """As `MemoryR`, over both memories; a query in both counts once."""
        successes, failures = self.exploit.store, self.explore.store
        return {
            **super().metrics(),
            "failure": float(failures.size),
            "queries": float(len({*successes.prompt_ids, *failures.prompt_ids})),
            "bytes": float(successes.nbytes + failures.nbytes),
        }

    def arrays(self) -> Arrays:
        """Return what both terms hold, and the number of failures written."""
        return {**super().arrays(), "failures_written": np.array(self.failures_written)}

    def restore(self, arrays: Arrays, dimension: int | None) -> None:
        """Take over saved arrays; on a SparftError nothing has changed."""
        written = arrays["failures_written"]
        check_array("failures_written of the saved memory", written, np.int64)
        require(bool(written >= 0), "failures_written of the saved memory must be at least 0.")
        super().restore(arrays, dimension)
        self.failures_written = int(written)
