"""The book of a run: which picks are out, and how often every arm and prompt was picked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.pool import PromptPool
from sparft_plugin.curriculum.records import Outcome, Pick
from sparft_plugin.curriculum.state import Remap, pack, unpack
from sparft_plugin.errors import SparftError


class Ledger:
    """Hands out pick ids and takes each back once; a curriculum and its wrappers share one.

    Parameters
    ----------
    pool : PromptPool
        What the picks are of.
    """

    def __init__(self, pool: PromptPool) -> None:
        self.pool = pool
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
        """Position of an outstanding pick's prompt.

        Raises
        ------
        SparftError
            If it was never selected, was observed before, or has expired.
        """
        if pick_id not in self.outstanding:
            raise SparftError(
                f"pick {pick_id} is not outstanding; observe each selected pick once, before it "
                "expires."
            )
        return self.outstanding[pick_id]

    def settle(self, outcomes: Sequence[Outcome]) -> NDArray[np.int64]:
        """Take back the picks of outcomes, in the order of their ids; positions of their prompts.

        Raises
        ------
        SparftError
            If a pick is not outstanding, comes twice, or was made of another prompt. Nothing is
            taken back then.
        """
        ids = [outcome.pick.pick_id for outcome in outcomes]
        positions = np.array(list(map(self.position, ids)), dtype=np.int64)
        # In the order of their picks, so that equals are neighbours.
        for pick_id, after in pairwise(ids):
            if pick_id == after:
                raise SparftError(f"pick {pick_id} is observed twice in one call; give it once.")
        names = [outcome.pick.prompt.id for outcome in outcomes]
        made = [identity.decode() for identity in self.pool.ids[positions].tolist()]
        for pick_id, name, of in zip(ids, names, made, strict=True):
            if name != of:
                raise SparftError(
                    f"pick {pick_id} was made of another prompt than {name}; observe the pick that "
                    "select returned."
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
        metrics = {
            "unique_prompts": float(self.seen.sum()),
            "picks": float(self.next_pick_id),
            "observed": float(self.observed),
            "expired": float(self.expired),
            "outstanding": float(len(self.outstanding)),
        }
        metrics.update({f"arm_{arm}/picks": float(n) for arm, n in enumerate(self.arm_picks)})
        return metrics

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
        moved = {int(k): remap.position(at) for k, at in state["outstanding"]}
        self.outstanding = {k: at for k, at in moved.items() if at >= 0}
        self.next_pick_id = int(state["next_pick_id"])
        self.expired = int(state["expired"]) + len(moved) - len(self.outstanding)
        self.observed = int(state["observed"])
        self.seen[:] = False
        self.seen[remap.positions(unpack(state["seen"], np.empty(0, dtype=np.int64)))] = True
        self.arm_picks[:] = 0
        if remap.same_arms:
            count = min(len(self.arm_picks), len(state["arm_picks"]))
            self.arm_picks[:count] = state["arm_picks"][:count]
