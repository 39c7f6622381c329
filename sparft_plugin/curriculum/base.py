"""The curriculum contract: select prompts, observe finished groups, save and restore."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.groups import Groups
from sparft_plugin.curriculum.ledger import Ledger
from sparft_plugin.curriculum.pool import PromptPool
from sparft_plugin.curriculum.records import Outcome, Pick, Prompt
from sparft_plugin.curriculum.state import Remap, check_state, dump_arrays, load_arrays, pack
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
    paper, unit, signal, use : str
        For the table of methods: source (``arXiv:2508.05015`` becomes a link), what is chosen,
        what is learned from, and when to use it.
    needs_difficulty, needs_embeddings : bool
        What the pool must have; ``start`` refuses one that lacks it.
    needs_group : bool
        Whether the signal is a comparison of the rollouts of one group. A host refuses such a
        method where groups have one rollout, or where its trainer makes no such comparison.
    """

    paper: ClassVar[str] = ""
    unit: ClassVar[str] = ""
    signal: ClassVar[str] = ""
    use: ClassVar[str] = ""
    needs_difficulty: ClassVar[bool] = False
    needs_embeddings: ClassVar[bool] = False
    needs_group: ClassVar[bool] = False

    pool: PromptPool = field(init=False, repr=False)
    rng: np.random.Generator = field(init=False, repr=False)
    ledger: Ledger = field(init=False, repr=False)

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
        self.ledger = Ledger(self.pool)
        self.begin()
        return self

    @property
    def label(self) -> str:
        """What a saved state says it was written by."""
        return type(self).__name__

    @property
    def n_arms(self) -> int:
        """Number of arms, empty ones included."""
        return self.pool.n_arms

    @property
    def outstanding(self) -> dict[int, int]:
        """Position of the prompt of each pick that has not been answered, by pick id."""
        return self.ledger.outstanding

    @property
    def next_pick_id(self) -> int:
        """Id of the next pick, which is the number of picks so far."""
        return self.ledger.next_pick_id

    @property
    def expired(self) -> int:
        """Picks whose group never came."""
        return self.ledger.expired

    @property
    def observed(self) -> int:
        """Groups observed so far."""
        return self.ledger.observed

    @property
    def arm_picks(self) -> NDArray[np.int64]:
        """Picks of each arm, shape (arms,)."""
        return self.ledger.arm_picks

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Whether each prompt was ever picked, shape (n,)."""
        return self.ledger.seen

    def select(self, n: int) -> list[Pick]:
        """Return exactly n picks; deterministic given the state.

        No prompt comes twice in one call if the pool has at least n; in a larger batch none comes
        more often than n / (size of the pool), rounded up.

        Raises
        ------
        SparftError
            If n is not positive.
        """
        if n <= 0:
            raise SparftError(f"cannot select {n} prompts; ask for at least one.")
        return self.ledger.issue(np.asarray(self.choose(n), dtype=np.int64))

    def observe(self, outcomes: Iterable[Outcome]) -> None:
        """Learn from finished groups, in any order, with any delay, each pick at most once.

        The order in which groups arrive does not matter within a call: they are sorted by pick.

        Raises
        ------
        SparftError
            If a pick is unknown, was observed before, or has expired. Nothing is learned then.
        """
        ordered = sorted(outcomes, key=lambda outcome: outcome.pick.pick_id)
        at = self.ledger.settle(ordered)
        if ordered:
            self.learn(Groups.of(ordered, at, self.pool.arms[at].astype(np.int64)))

    def pick(self, pick_id: int) -> Pick:
        """Return the outstanding pick of an id.

        Raises
        ------
        SparftError
            If it was never selected, was observed before, or has expired.
        """
        return Pick(pick_id, self.pool.prompt(self.ledger.position(pick_id)))

    def expire(self, pick_ids: Iterable[int]) -> None:
        """Forget picks whose group will never come; unknown ones are ignored, others counted."""
        self.ledger.expire(pick_ids)

    def metrics(self) -> dict[str, float]:
        """Relative names; the host adds its prefix ``sparft/curriculum/``."""
        return self.ledger.metrics()

    def state_dict(self) -> dict[str, Any]:
        """JSON-able state, versioned, random generator included."""
        return {
            "version": STATE_VERSION,
            "method": self.label,
            "prompts": [identity.decode() for identity in self.pool.ids.tolist()],
            "arms": pack(self.pool.arms),
            "rng": self.rng.bit_generator.state,
            **self.ledger.state(),
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
        self.check_state(state)
        return self.restore(state).report()

    def restore(self, state: Mapping[str, Any]) -> Remap:
        """Become what a checked state says; where its prompts are in the pool now."""
        remap = Remap.between(state, self.pool)
        self.begin()
        self.rng.bit_generator.state = state["rng"]
        self.ledger.load(state, remap)
        self.load_rule(state, remap)
        return remap

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Refuse a state that ``load_state_dict`` cannot restore; changes nothing."""
        own = {
            "version": STATE_VERSION,
            "method": self.label,
            # Only their names matter, and a large pool takes long to write.
            **dict.fromkeys(("prompts", "arms", "rng")),
            **self.ledger.state(),
            "by_arm": dict.fromkeys(self.arm_arrays()),
            "by_prompt": dict.fromkeys(self.prompt_arrays()),
            "rule": self.rule_state(),
        }
        check_state(state, own, STATE_VERSION)

    def load_rule(self, state: Mapping[str, Any], remap: Remap) -> None:
        """Fill the rule's arrays and numbers, which hold their prior, with what was saved."""
        if remap.same_arms:
            load_arrays(self, self.arm_arrays(), state["by_arm"], None)
        load_arrays(self, self.prompt_arrays(), state["by_prompt"], remap)
        if remap.same_pool or remap.same_arms:
            self.load_rule_state(state["rule"], remap)

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

    def load_rule_state(self, state: Mapping[str, Any], remap: Remap) -> None:  # noqa: B027
        """Restore what ``rule_state`` gave; the keys have been checked.

        Called only if the pool is the same or no prompt moved to another arm; otherwise the rule
        stays as ``begin`` left it.
        """
