"""Memory-R: reward a response for being close to what succeeded before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.memory.archive import Arrays
from sparft_plugin.memory.base import IntrinsicReward, MemoryGroup, Terms
from sparft_plugin.memory.normalize import WindowNormalizer
from sparft_plugin.memory.options import check_number, check_whole
from sparft_plugin.memory.store import EpisodicStore


@dataclass(eq=False)
class MemoryR(IntrinsicReward):
    """Pay for closeness to the mean of the successes of the nearest known queries.

    R_s = -|| a - mean(B(M_s, q)) ||_2, scaled to [0, 1] by `WindowNormalizer`. Le et al. 2025,
    https://arxiv.org/abs/2504.02273, the exploit half of its memory-based reward. While M_s is
    empty the reward is 0 and no raw value enters the window. Only successes are stored, because
    nothing here reads failures: the metric ``failure`` is 0.

    Parameters
    ----------
    encoder : str
        See `IntrinsicReward`.
    neighbors : int >= 1, default 1
        Number K of nearest stored queries that are read; the paper uses 1 on GSM8K.
    query_capacity : int >= 1 or None, default None
        Largest number N of stored queries; None = no limit (the paper: size of the training set).
    response_capacity : int >= 1, default 100
        Largest number L of stored responses per query.
    success_threshold : float in [0, 1), default 0.5
        A response is a success if its raw accuracy is above this.
    window : int >= 1, default 100
        Number w of raw values that the normalisation looks back on.
    exploit_weight : float >= 0, default 1.0
        Weight beta_s of the term.

    Raises
    ------
    SparftError
        If an option is out of its range; it is named as ``sparft.memory.<option>``.
    """

    name: ClassVar[str] = "memory_r"

    neighbors: int = 1
    query_capacity: int | None = None
    response_capacity: int = 100
    success_threshold: float = 0.5
    window: int = 100
    exploit_weight: float = 1.0
    successes: EpisodicStore = field(init=False, repr=False)
    exploit_window: WindowNormalizer = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("neighbors", self.neighbors, 1)
        if self.query_capacity is not None:
            check_whole("query_capacity", self.query_capacity, 1)
        check_whole("response_capacity", self.response_capacity, 1)
        check_number("success_threshold", self.success_threshold, below=1)
        check_number("exploit_weight", self.exploit_weight)
        self.successes = self.empty_store()
        self.exploit_window = WindowNormalizer(self.window)

    def empty_store(self) -> EpisodicStore:
        """Return a store of this memory's capacities with nothing in it."""
        return EpisodicStore(self.query_capacity, self.response_capacity)

    def closeness(self, groups: Sequence[MemoryGroup]) -> NDArray[np.float64]:
        """Raw R_s of all rollouts, group after group, (n,); NaN where M_s has nothing."""
        known = self.successes.nearest_each(stacked_queries(groups), self.neighbors)
        return np.concatenate(
            [
                -np.linalg.norm(group.responses - near.mean(axis=0, dtype=np.float64), axis=1)
                if len(near)
                else np.full(len(group.responses), np.nan)
                for group, near in zip(groups, known, strict=True)
            ]
        )

    def terms(self, groups: Sequence[MemoryGroup]) -> list[Terms]:
        """Weighted, normalised R_s; see `IntrinsicReward.score`."""
        exploit = self.exploit_window.normalize(self.closeness(groups))
        return [
            Terms(exploit=part, explore=np.zeros(len(part)), total=self.exploit_weight * part)
            for part in by_group(exploit, groups)
        ]

    def remember(self, groups: Sequence[MemoryGroup]) -> None:
        """Record the raw values of the step, then store its successes."""
        self.exploit_window.record(self.closeness(groups))
        for group in groups:
            self.successes.write(
                group.prompt_id, group.query, group.responses[self.succeeded(group)]
            )

    def succeeded(self, group: MemoryGroup) -> NDArray[np.bool_]:
        """Which responses count as successes, (g,)."""
        return group.accuracies > self.success_threshold

    def metrics(self) -> dict[str, float]:
        """Stored responses, stored queries and the bytes they take."""
        return {
            "success": float(self.successes.size),
            "failure": 0.0,
            "queries": float(len(self.successes)),
            "bytes": float(self.successes.nbytes),
        }

    def arrays(self) -> Arrays:
        """Return the success store and the exploit window."""
        stored = {f"success.{key}": value for key, value in self.successes.arrays().items()}
        return {**stored, "exploit_window": self.exploit_window.values}

    def restore(self, arrays: Arrays, dimension: int | None) -> None:
        """Take over saved arrays; on a SparftError nothing has changed."""
        successes, window = self.empty_store(), WindowNormalizer(self.window)
        successes.restore(members(arrays, "success."), dimension)
        window.restore(arrays["exploit_window"])
        self.successes, self.exploit_window = successes, window


def stacked_queries(groups: Sequence[MemoryGroup]) -> NDArray[np.float32]:
    """Return the queries of n groups, float32 (n, d)."""
    return np.stack([group.query for group in groups])


def by_group(
    values: NDArray[np.float64], groups: Sequence[MemoryGroup]
) -> list[NDArray[np.float64]]:
    """Cut the values of all rollouts into one array (g,) per group."""
    return np.split(values, np.cumsum([len(group.responses) for group in groups])[:-1])


def members(arrays: Arrays, prefix: str) -> Arrays:
    """Return the arrays whose name starts with a prefix, without it."""
    return {
        key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)
    }
