"""The contract of a wrapper: change what a curriculum chose, and pass on what it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.base import Curriculum
from sparft_plugin.curriculum.groups import Groups
from sparft_plugin.curriculum.pool import PromptPool
from sparft_plugin.curriculum.records import Prompt
from sparft_plugin.curriculum.state import (
    Remap,
    check_keys,
    check_method,
    check_parts,
    dump_arrays,
)


@dataclass(eq=False)
class Wrapper(Curriculum):
    """A curriculum around another; both share one pool, one random generator and one ledger.

    A wrapper gives ``begin`` (which must not draw), ``choose`` and ``learn`` like any method;
    ``learn`` calls this class's, so that the inner curriculum hears of every group, also of those
    it did not choose. The saved state holds the inner one's under ``inner``.

    Parameters
    ----------
    inner : Curriculum
        What is wrapped, not yet started; it may be a wrapper itself.
    """

    inner: Curriculum

    @property
    def label(self) -> str:
        """Own name around the inner one's."""
        return f"{type(self).__name__}({self.inner.label})"

    def start(self, prompts: Sequence[Prompt] | PromptPool, seed: int = 0) -> Curriculum:
        """Start the inner curriculum, and stand around it."""
        self.inner.start(prompts, seed)
        self.pool, self.rng, self.ledger = self.inner.pool, self.inner.rng, self.inner.ledger
        self.begin()
        return self

    def learn(self, groups: Groups) -> None:
        """Pass the groups on."""
        self.inner.learn(groups)

    def metrics(self) -> dict[str, float]:
        """Those of the inner curriculum."""
        return self.inner.metrics()

    def state_dict(self) -> dict[str, Any]:
        """Own arrays around the inner state."""
        return {
            "method": self.label,
            "inner": self.inner.state_dict(),
            "by_arm": dump_arrays(self, self.arm_arrays()),
            "by_prompt": dump_arrays(self, self.prompt_arrays()),
            "rule": self.rule_state(),
        }

    def restore(self, state: Mapping[str, Any]) -> Remap:
        """Restore the inner curriculum, then what is its own."""
        remap = self.inner.restore(state["inner"])
        self.begin()
        self.load_rule(state, remap)
        return remap

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Check own keys and the whole of the inner state."""
        check_method(state, self.label)
        own = {
            "method": self.label,
            "inner": None,
            "by_arm": dict.fromkeys(self.arm_arrays()),
            "by_prompt": dict.fromkeys(self.prompt_arrays()),
            "rule": self.rule_state(),
        }
        check_keys("curriculum state", state, own)
        self.inner.check_state(state["inner"])
        check_parts(state, own)


class Members:
    """The prompts of each arm, to draw from those that are free.

    Parameters
    ----------
    pool : PromptPool
        The prompts.
    """

    def __init__(self, pool: PromptPool) -> None:
        self.sizes = np.bincount(pool.arms, minlength=pool.n_arms)
        self.starts = np.concatenate([[0], np.cumsum(self.sizes)])
        self.order = np.argsort(pool.arms, kind="stable").astype(np.int32)

    def draw(
        self, arm: int, n: int, taken: NDArray[np.bool_], rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Draw up to n distinct prompts of an arm and mark them as taken.

        Parameters
        ----------
        arm : int
            The arm.
        n : int
            How many are wanted.
        taken : ndarray of bool, shape (prompts,)
            Prompts that may not be drawn; those that are drawn are added.
        rng : numpy.random.Generator
            The source of chance.

        Returns
        -------
        ndarray of int64, shape (m,)
            m <= n positions.
        """
        members = self.order[self.starts[arm] : self.starts[arm + 1]]
        free = members[~taken[members]]
        drawn: NDArray[np.int64] = rng.choice(free, min(n, len(free)), replace=False)
        taken[drawn] = True
        return drawn
