"""A floor on every arm's share of the picks, whatever the curriculum prefers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.contract import Curriculum, per_arm, per_run
from sparft_plugin.curriculum.options import number, whole
from sparft_plugin.curriculum.pool import Members, PromptPool, rank_among_equals
from sparft_plugin.curriculum.records import Prompt
from sparft_plugin.curriculum.wrappers.base import Wrapper
from sparft_plugin.errors import SparftError


@dataclass(eq=False)
class ShareFloor(Wrapper):
    """Give every arm at least a fixed share of the picks; ours.

    Each pick adds ``floor`` to the debt to every arm that has prompts, and takes 1 from the debt
    to the arm it went to. An arm that is owed whole picks at the end of a batch gets them: random
    prompts of it replace random picks of arms that are owed less than they got. Credit is kept for
    ``window`` picks: d <- max(d + floor * n - picks, -floor * window).

    So any m picks in a row hold at least floor * (m - window) - 4 of each arm, unless the arm is
    smaller than what a batch owes it: no prompt comes twice in a batch for the sake of a floor.

    Parameters
    ----------
    inner : Curriculum
        What is wrapped.
    floor : float in [0, 1]
        Smallest share; times the number of arms with prompts at most 1.
    window : int >= 0, default 256
        Picks for which an arm that got more than its floor is left alone.
    """

    section: ClassVar[str] = "sparft.curriculum.share_floor"

    floor: float = number(MISSING, 0, 1)
    window: int = whole(256, 0)
    debt: NDArray[np.float64] = per_arm()
    """What each arm is owed, in picks."""
    forced: int = per_run(0)
    """Picks that were replaced."""
    members: Members = field(init=False, repr=False)

    def start(self, prompts: Sequence[Prompt] | PromptPool, seed: int = 0) -> Curriculum:
        """Start the inner curriculum, unless the floors add up to more than everything."""
        super().start(prompts, seed)
        arms = int((self.members.sizes > 0).sum())
        if self.floor * arms > 1 + 1e-9:
            raise SparftError(
                f"sparft.curriculum.share_floor.floor={self.floor} promises {arms} arms more than "
                f"all picks; it can be at most {1 / arms:.4g}."
            )
        return self

    def begin(self) -> None:
        """Sort the prompts by arm."""
        self.members = Members(self.pool.arms)

    def choose(self, n: int) -> NDArray[np.int64]:
        """Choose as the inner curriculum does, then pay what arms are owed."""
        chosen = np.array(self.inner.choose(n), dtype=np.int64)
        self.debt[self.members.sizes > 0] += self.floor * n
        # A batch larger than the pool repeats prompts as it is, and is left alone.
        if n <= len(self.pool):
            self._pay(chosen)
        self.debt -= np.bincount(self.pool.arms[chosen], minlength=self.n_arms)
        # What one batch could not hold is not owed for ever.
        self.debt = np.clip(self.debt, -self.floor * self.window, self.members.sizes)
        return chosen

    def _pay(self, chosen: NDArray[np.int64]) -> None:
        """Replace picks of a batch, in place, until no arm lacks what it is owed."""
        arms = self.pool.arms[chosen]
        got = np.bincount(arms, minlength=self.n_arms)
        owed = np.minimum(np.maximum(self.debt, 0).astype(np.int64), self.members.sizes)
        lack = np.maximum(owed - got, 0)
        if not lack.any():
            return
        slots = self._spare(arms, owed)
        # The largest debts come first where there is not room for all.
        order = np.argsort(-self.debt, kind="stable")
        before = np.cumsum(lack[order]) - lack[order]
        lack[order] = np.clip(len(slots) - before, 0, lack[order])
        taken = np.zeros(len(self.pool), dtype=np.bool_)
        taken[chosen] = True
        drawn = [
            self.members.draw(int(arm), int(lack[arm]), taken, self.rng)
            for arm in np.flatnonzero(lack)
        ]
        # Nothing is drawn where every slot is owed to some arm.
        forced = np.concatenate([slots[:0], *drawn])
        chosen[slots[: len(forced)]] = forced
        self.forced += len(forced)

    def _spare(self, arms: NDArray[np.int32], owed: NDArray[np.int64]) -> NDArray[np.int64]:
        """Slots of a batch beyond what their arms are owed, in random order."""
        shuffled = self.rng.permutation(len(arms))
        by_arm = shuffled[np.argsort(arms[shuffled], kind="stable")]
        spare = rank_among_equals(arms[by_arm]) >= owed[arms[by_arm]]
        return self.rng.permutation(by_arm[spare])

    def metrics(self) -> dict[str, float]:
        """Add the picks that were forced so far, and the largest debt to an arm."""
        return super().metrics() | {
            "share_floor/forced": float(self.forced),
            "share_floor/debt": max(0.0, float(self.debt.max())),
        }
