"""Prompts that are always right or always wrong are withheld, and tried again now and then."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.contract import per_prompt, per_run
from sparft_plugin.curriculum.options import number, whole
from sparft_plugin.curriculum.pool import Members
from sparft_plugin.curriculum.records import Groups
from sparft_plugin.curriculum.wrappers.base import Wrapper
from sparft_plugin.options import check_number

MOST = 127
"""Longest streak that is counted; one byte a prompt."""


@dataclass(eq=False)
class Retest(Wrapper):
    """Retire a prompt after some unanimous groups in a row, and keep testing the retired; ours.

    A prompt is retired while its last ``after`` groups or more were all right, or all wrong. A pick
    of it is replaced by a random prompt of the same arm, or of any arm if that one is retired
    throughout, or stays if too few are left. While prompts are retired, ``share`` of all slots goes
    to those that have waited longest. One mixed group brings a prompt back; so does one that is
    unanimous the other way, if ``after`` is above 1.

    Parameters
    ----------
    inner : Curriculum
        What is wrapped; it is told of every group, re-tests included.
    after : int in [1, 127], default 3
        Unanimous groups in a row after which a prompt is retired.
    share : float in [0, 1], default 0.05
        Share of all slots for re-tests; 0 never tests again.
    """

    section: ClassVar[str] = "sparft.curriculum.retest"
    needs_group: ClassVar[bool] = True

    after: int = whole(3, 1)
    share: float = number(0.05, 0, 1)
    streak: NDArray[np.int8] = per_prompt(0, np.int8)
    """Groups in a row that were all right (positive) or all wrong."""
    chosen_at: NDArray[np.int64] = per_prompt(-1, np.int64)
    """Last pick of each prompt."""
    credit: float = per_run(0.0)
    withheld: int = per_run(0)
    retests: int = per_run(0)
    returned: int = per_run(0)
    members: Members = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("sparft.curriculum.retest.after", self.after, 1, MOST)

    @property
    def retired(self) -> NDArray[np.bool_]:
        """Whether each prompt is retired now, shape (n,)."""
        return np.abs(self.streak) >= self.after

    def begin(self) -> None:
        """Sort the prompts by arm."""
        self.members = Members(self.pool.arms)

    def choose(self, n: int) -> NDArray[np.int64]:
        """Choose as the inner curriculum does, and replace what is retired."""
        chosen = np.array(self.inner.choose(n), dtype=np.int64)
        retired = self.retired
        # A batch larger than the pool repeats prompts as it is, and is left alone.
        if n <= len(self.pool) and retired.any():
            self._replace(chosen, retired)
        self.chosen_at[chosen] = self.next_pick_id + np.arange(n)
        return chosen

    def _replace(self, chosen: NDArray[np.int64], retired: NDArray[np.bool_]) -> None:
        """Replace the retired picks of a batch, in place, but for those that are tested again."""
        tests = self._due(len(chosen), np.flatnonzero(retired))
        self.retests += len(tests)
        out = retired[chosen] & ~np.isin(chosen, tests)
        taken = retired.copy()
        taken[chosen] = True
        new = [tests[~np.isin(tests, chosen)]]
        slots = np.flatnonzero(out)
        if len(slots) < len(new[0]):
            others = np.flatnonzero(~retired[chosen])
            slots = np.concatenate(
                [slots, self.rng.permutation(others)[: len(new[0]) - len(slots)]]
            )
        wanted = np.bincount(self.pool.arms[chosen[slots[len(new[0]) :]]], minlength=self.n_arms)
        for arm in np.flatnonzero(wanted):
            new.append(self.members.draw(int(arm), int(wanted[arm]), taken, self.rng))
        free, n = np.flatnonzero(~taken), len(slots) - sum(map(len, new))
        new.append(self.rng.choice(free, min(n, len(free)), replace=False))
        found = np.concatenate(new)
        # Where nothing else is left, the retired prompt stays.
        chosen[slots[: len(found)]] = found
        self.withheld += len(found) - len(new[0])

    def _due(self, n: int, retired: NDArray[np.int64]) -> NDArray[np.int64]:
        """The retired prompts that a batch of n tests again: the longest waiting."""
        self.credit += self.share * n
        count = min(int(self.credit), n, len(retired))
        # Credit for tests that there was nothing to do with is not saved up.
        self.credit = min(self.credit - count, 1.0)
        if not count:
            return retired[:0]
        waiting = np.argpartition(self.chosen_at[retired], count - 1)[:count]
        return np.sort(retired[waiting])

    def learn(self, groups: Groups) -> None:
        """Count unanimous groups in a row, and pass all on."""
        met = np.unique(groups.prompts)
        before = np.abs(self.streak[met]) >= self.after
        verdict = (groups.solved == groups.rollouts).astype(np.int8) - (groups.solved == 0)
        rest = np.arange(len(groups))
        while len(rest):
            # The first group of each prompt, then the second, so that a row of them is a row.
            prompts, first = np.unique(groups.prompts[rest], return_index=True)
            signs, streak = verdict[rest[first]], self.streak[prompts].astype(np.int64)
            longer = np.where(streak * signs > 0, streak, 0) + signs
            self.streak[prompts] = np.clip(np.where(signs == 0, 0, longer), -MOST, MOST)
            rest = np.delete(rest, first)
        self.returned += int((before & (np.abs(self.streak[met]) < self.after)).sum())
        super().learn(groups)

    def metrics(self) -> dict[str, float]:
        """Add the prompts retired now, and picks withheld, re-tests and returns so far."""
        counts = {name: getattr(self, name) for name in ("withheld", "retests", "returned")}
        counts["retired"] = self.retired.sum()
        return super().metrics() | {f"retest/{name}": float(n) for name, n in counts.items()}
