"""The book of a run: which picks are out, who was picked, and where prompts are after a change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.pool import PromptPool
from sparft_plugin.curriculum.records import Outcome, Pick
from sparft_plugin.curriculum.state import fill, pack, unpack
from sparft_plugin.errors import SparftError


@dataclass(frozen=True, eq=False)
class Remap:
    """Where the prompts of a saved pool are in the present one."""

    to: NDArray[np.int64]
    """New position of each saved prompt, shape (n_saved,); -1 if it is gone."""
    new: int
    """Prompts of the present pool that the saved one lacks."""
    moved: int
    """Prompts that are in both and belong to another arm now."""
    same_pool: bool
    """Whether both pools hold the same prompts in the same arms."""

    @classmethod
    def between(cls, state: Mapping[str, Any], pool: PromptPool) -> Remap:
        """Compare a saved state's prompts and arms with a pool."""
        saved = np.array([name.encode() for name in state["prompts"]])
        if np.array_equal(saved, pool.ids):
            at = np.arange(len(pool))
        else:
            at = np.minimum(np.searchsorted(pool.ids, saved), len(pool) - 1)
        kept = pool.ids[at] == saved
        moved = int((pool.arms[at[kept]] != unpack(state["arms"], pool.arms)[kept]).sum())
        new = len(pool) - int(kept.sum())
        same_pool = not moved and not new and bool(kept.all())
        return cls(np.where(kept, at, -1), new, moved, same_pool)

    @property
    def kept(self) -> int:
        """Prompts that are in both pools."""
        return int((self.to >= 0).sum())

    @property
    def same_arms(self) -> bool:
        """Whether what was learned of arms still holds."""
        return not self.moved and self.kept > 0

    def report(self) -> str | None:
        """One sentence about what changed; None if nothing did."""
        if self.same_pool:
            return None
        moved = f"; {self.moved} moved to another arm, so what was learned of arms starts afresh"
        return (
            f"the prompts changed since the checkpoint: {self.kept} kept, {self.new} new, "
            f"{len(self.to) - self.kept} gone{moved * bool(self.moved)}."
        )


class Ledger:
    """Hands out pick ids and takes each back once; a curriculum and its wrappers share one."""

    def __init__(self, pool: PromptPool) -> None:
        self.pool = pool
        self.planned_steps: int | None = None
        """Training steps that the host plans for the whole run; None where nothing tells it."""
        self.outstanding: dict[int, int] = {}
        """Position of the prompt of each pick that has not been answered, by pick id."""
        self.next_pick_id = 0
        self.expired = 0
        self.observed = 0
        self.arm_picks = np.zeros(pool.n_arms, dtype=np.int64)
        self.seen = np.zeros(len(pool), dtype=np.bool_)

    def issue(self, positions: NDArray[np.int64]) -> list[Pick]:
        """Make a pick of each position, in this order."""
        first = self.next_pick_id
        self.next_pick_id += len(positions)
        ids = range(first, self.next_pick_id)
        self.outstanding.update(zip(ids, positions.tolist(), strict=True))
        np.add.at(self.arm_picks, self.pool.arms[positions], 1)
        self.seen[positions] = True
        return list(map(Pick, ids, self.pool.prompts(positions)))

    def position(self, pick_id: int) -> int:
        """Position of the prompt of a pick, which must be outstanding."""
        if pick_id not in self.outstanding:
            raise SparftError(
                f"pick {pick_id} is not outstanding; observe each selected pick once, before it "
                "expires."
            )
        return self.outstanding[pick_id]

    def settle(self, outcomes: Sequence[Outcome]) -> NDArray[np.int64]:
        """Take back the picks of outcomes, in the order of their ids; positions of their prompts.

        Nothing is taken back if a pick is not outstanding, comes twice, or was made of another
        prompt.
        """
        ids = [outcome.pick.pick_id for outcome in outcomes]
        positions = np.array(list(map(self.position, ids)), dtype=np.int64)
        # In the order of their picks, so that equals are neighbours.
        for pick_id, after in pairwise(ids):
            if pick_id == after:
                raise SparftError(f"pick {pick_id} is observed twice in one call; give it once.")
        made = [identity.decode() for identity in self.pool.ids[positions].tolist()]
        for (pick_id, prompt), of in zip((o.pick for o in outcomes), made, strict=True):
            if prompt.id != of:
                raise SparftError(
                    f"pick {pick_id} was made of another prompt than {prompt.id}; observe the pick "
                    "that select returned."
                )
        for pick_id in ids:
            del self.outstanding[pick_id]
        self.observed += len(ids)
        return positions

    def expire(self, pick_ids: Iterable[int]) -> None:
        """Forget picks; unknown ones are ignored, others counted."""
        for pick_id in pick_ids:
            if self.outstanding.pop(pick_id, None) is not None:
                self.expired += 1

    def metrics(self) -> dict[str, float]:
        """Counts of the whole run."""
        counts = {
            "unique_prompts": self.seen.sum(),
            "picks": self.next_pick_id,
            "observed": self.observed,
            "expired": self.expired,
            "outstanding": len(self.outstanding),
        }
        counts |= {f"arm_{arm}/picks": n for arm, n in enumerate(self.arm_picks)}
        return {name: float(count) for name, count in counts.items()}

    def state(self) -> dict[str, Any]:
        """JSON-able content; positions are those of the pool."""
        return {
            "outstanding": [[k, at] for k, at in self.outstanding.items()],
            "next_pick_id": self.next_pick_id,
            "expired": self.expired,
            "observed": self.observed,
            "arm_picks": self.arm_picks.tolist(),
            "seen": pack(np.flatnonzero(self.seen)),
        }

    def load(self, state: Mapping[str, Any], remap: Remap) -> None:
        """Restore what ``state`` gave; picks of prompts that are gone expire."""
        moved = {int(k): int(remap.to[at]) for k, at in state["outstanding"]}
        self.outstanding = {k: at for k, at in moved.items() if at >= 0}
        self.next_pick_id = int(state["next_pick_id"])
        self.expired = int(state["expired"]) + len(moved) - len(self.outstanding)
        self.observed = int(state["observed"])
        self.seen[:] = False
        seen = remap.to[unpack(state["seen"], np.empty(0, dtype=np.int64))]
        self.seen[seen[seen >= 0]] = True
        self.arm_picks[:] = 0
        if remap.same_arms:
            fill(self.arm_picks, state["arm_picks"])
