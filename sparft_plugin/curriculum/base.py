"""The curriculum contract: select prompts, observe finished groups, save and restore."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.groups import Groups
from sparft_plugin.curriculum.pool import PromptPool
from sparft_plugin.curriculum.records import Outcome, Pick, Prompt
from sparft_plugin.curriculum.state import Remap, check_state, dump_arrays, load_arrays
from sparft_plugin.errors import SparftError

STATE_VERSION = 2


@dataclass(eq=False)
class Curriculum(ABC):
    """Decides which prompt comes next and learns from every finished group.

    A method is a dataclass whose fields are its options. ``start`` binds it to a pool; then
    ``select`` and ``observe`` may interleave in any order, with any delay. This class owns pick
    ids, the random generator, the outstanding picks, metrics and state; a method owns its rule:
    ``begin``, ``choose``, ``learn`` and the names of its arrays.

    Attributes
    ----------
    needs_difficulty, needs_embeddings : bool
        What the pool must have; ``start`` refuses one that lacks it.
    """

    needs_difficulty: ClassVar[bool] = False
    needs_embeddings: ClassVar[bool] = False

    pool: PromptPool = field(init=False, repr=False)
    rng: np.random.Generator = field(init=False, repr=False)
    outstanding: dict[int, int] = field(init=False, repr=False, default_factory=dict)
    """Position of the prompt of each pick that has not been answered, by pick id."""
    next_pick_id: int = field(init=False, repr=False, default=0)
    expired: int = field(init=False, repr=False, default=0)
    observed: int = field(init=False, repr=False, default=0)
    arm_picks: NDArray[np.int64] = field(init=False, repr=False)
    seen: NDArray[np.bool_] = field(init=False, repr=False)

    def start(self, prompts: Sequence[Prompt] | PromptPool, seed: int = 0) -> Curriculum:
        """Bind the curriculum to a pool of prompts and seed it.

        Parameters
        ----------
        prompts : PromptPool or sequence of Prompt
            The pool. The order of a sequence does not matter: it is sorted by id.
        seed : int
            Seed of every draw.

        Raises
        ------
        SparftError
            If the pool is empty, an id appears twice, or the method needs what it lacks.
        """
        self.pool = prompts if isinstance(prompts, PromptPool) else PromptPool.of(prompts)
        name = type(self).__name__
        if self.needs_difficulty and np.isnan(self.pool.difficulties).any():
            raise SparftError(
                f"{name} needs a difficulty for every prompt; set sparft.reduction.difficulty_key, "
                "or reduce the data with sparft reduce --difficulty."
            )
        if self.needs_embeddings and self.pool.embeddings is None:
            raise SparftError(f"{name} needs the embeddings of the prompts; give them in the pool.")
        self.rng = np.random.default_rng(seed)
        self.arm_picks = np.zeros(self.pool.n_arms, dtype=np.int64)
        self.seen = np.zeros(len(self.pool), dtype=np.bool_)
        self.begin()
        return self

    @property
    def n_arms(self) -> int:
        """Number of arms, empty ones included."""
        return self.pool.n_arms

    def select(self, n: int) -> list[Pick]:
        """Return exactly n picks; deterministic given the state.

        No prompt comes twice in one call if the pool has at least n.

        Raises
        ------
        SparftError
            If n is not positive.
        """
        if n <= 0:
            raise SparftError(f"cannot select {n} prompts; ask for at least one.")
        positions = np.asarray(self.choose(n), dtype=np.int64)
        first = self.next_pick_id
        self.next_pick_id += n
        self.outstanding.update(zip(range(first, first + n), positions.tolist(), strict=True))
        np.add.at(self.arm_picks, self.pool.arms[positions], 1)
        self.seen[positions] = True
        return [Pick(first + i, p) for i, p in enumerate(self.pool.prompts(positions))]

    def observe(self, outcomes: Iterable[Outcome]) -> None:
        """Learn from finished groups, in any order, with any delay, each pick at most once.

        The order in which groups arrive does not matter within a call: they are sorted by pick.

        Raises
        ------
        SparftError
            If a pick is unknown, was observed before, or has expired. Nothing is learned then.
        """
        ordered = sorted(outcomes, key=lambda outcome: outcome.pick.pick_id)
        ids = [outcome.pick.pick_id for outcome in ordered]
        positions = [self._position(pick_id) for pick_id in ids]
        if len(set(ids)) < len(ids):
            raise SparftError(f"a pick is observed twice in one call, of {ids}; give each once.")
        at = np.array(positions, dtype=np.int64)
        for outcome, identity in zip(ordered, self.pool.ids[at].tolist(), strict=True):
            if outcome.pick.prompt.id != identity.decode():
                raise SparftError(
                    f"pick {outcome.pick.pick_id} was made of another prompt than "
                    f"{outcome.pick.prompt.id}; observe the pick that select returned."
                )
        for pick_id in ids:
            del self.outstanding[pick_id]
        if ordered:
            self.observed += len(ordered)
            self.learn(Groups.of(ordered, at, self.pool.arms[at].astype(np.int64)))

    def pick(self, pick_id: int) -> Pick:
        """Return the outstanding pick of an id.

        Raises
        ------
        SparftError
            If it was never selected, was observed before, or has expired.
        """
        return Pick(pick_id, self.pool.prompt(self._position(pick_id)))

    def _position(self, pick_id: int) -> int:
        if pick_id not in self.outstanding:
            raise SparftError(
                f"pick {pick_id} is not outstanding; observe each selected pick once, before it "
                "expires."
            )
        return self.outstanding[pick_id]

    def expire(self, pick_ids: Iterable[int]) -> None:
        """Forget picks whose group will never come; unknown ones are ignored, others counted."""
        for pick_id in pick_ids:
            if self.outstanding.pop(pick_id, None) is not None:
                self.expired += 1

    def metrics(self) -> dict[str, float]:
        """Relative names; the host adds its prefix ``sparft/curriculum/``."""
        metrics = {
            "unique_prompts": float(self.seen.sum()),
            "picks": float(self.next_pick_id),
            "observed": float(self.observed),
            "expired": float(self.expired),
            "outstanding": float(len(self.outstanding)),
        }
        metrics.update({f"arm_{arm}/picks": float(n) for arm, n in enumerate(self.arm_picks)})
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """JSON-able state, versioned, random generator included."""
        return {
            "version": STATE_VERSION,
            "method": type(self).__name__,
            "prompts": [identity.decode() for identity in self.pool.ids.tolist()],
            "arms": self.pool.arms.tolist(),
            "rng": self.rng.bit_generator.state,
            "outstanding": [[k, at] for k, at in self.outstanding.items()],
            "next_pick_id": self.next_pick_id,
            "expired": self.expired,
            "observed": self.observed,
            "arm_picks": self.arm_picks.tolist(),
            "seen": np.flatnonzero(self.seen).tolist(),
            "by_arm": dump_arrays(self, self.arm_arrays()),
            "by_prompt": dump_arrays(self, self.prompt_arrays()),
            "rule": self.rule_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> str | None:
        """Restore a state saved by the same method.

        A changed pool is re-mapped by prompt id: prompts that are still there keep what was learned
        of them, new ones start fresh, picks of prompts that are gone expire. What was learned of
        arms is kept only if no prompt moved to another arm.

        Returns
        -------
        str or None
            One sentence that says how many prompts were kept, are new and are gone; None if the
            pool is the same.

        Raises
        ------
        SparftError
            If keys are missing or unknown, or version or method differ. Nothing is changed then.
        """
        check_state(state, self.state_dict(), STATE_VERSION)
        remap = Remap.between(state, self.pool)
        self.begin()
        self.rng.bit_generator.state = state["rng"]
        self.next_pick_id = int(state["next_pick_id"])
        moved = {int(k): remap.position(at) for k, at in state["outstanding"]}
        self.outstanding = {k: at for k, at in moved.items() if at >= 0}
        self.expired = int(state["expired"]) + len(moved) - len(self.outstanding)
        self.observed = int(state["observed"])
        self.seen[:] = False
        self.seen[remap.positions(state["seen"])] = True
        self.arm_picks[:] = 0
        if remap.same_arms:
            self.arm_picks[: len(state["arm_picks"])] = state["arm_picks"]
            load_arrays(self, self.arm_arrays(), state["by_arm"], None)
        load_arrays(self, self.prompt_arrays(), state["by_prompt"], remap)
        if remap.same_pool or remap.same_arms:
            self.load_rule_state(state["rule"], remap)
        return remap.report()

    @abstractmethod
    def begin(self) -> None:
        """Set the rule's own arrays to their prior; pool and generator are ready."""

    @abstractmethod
    def choose(self, n: int) -> NDArray[np.int64]:
        """Choose n prompts, as positions in the pool."""

    @abstractmethod
    def learn(self, groups: Groups) -> None:
        """Update the rule from groups in the order of their picks, at least one."""

    def arm_arrays(self) -> Sequence[str]:
        """Attributes that are arrays of shape (arms, ...) and are saved."""
        return ()

    def prompt_arrays(self) -> Sequence[str]:
        """Attributes that are arrays of shape (n, ...) and are saved; they follow a prompt's id."""
        return ()

    def rule_state(self) -> dict[str, Any]:
        """JSON-able rest of the rule's state, such as single numbers."""
        return {}

    def load_rule_state(self, state: Mapping[str, Any], remap: Remap) -> None:
        """Restore what ``rule_state`` gave; the keys have been checked.

        Called only if the pool is the same or no prompt moved to another arm; otherwise the rule
        stays as ``begin`` left it.
        """
