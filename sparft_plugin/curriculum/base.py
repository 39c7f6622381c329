"""The curriculum contract: select prompts, observe finished groups, save and restore."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.records import Outcome, Pick, Prompt
from sparft_plugin.errors import SparftError

STATE_VERSION = 1


@dataclass(eq=False)
class Curriculum(ABC):
    """Decides which prompt comes next and learns from every finished group.

    A method is a dataclass whose fields are its options. ``start`` binds it to a pool; then
    ``select`` and ``observe`` may interleave in any order, with any delay. This class owns pick
    ids, the random generator, the outstanding picks, metrics and state; a method owns its rule:
    ``choose``, ``learn``, ``rule_state`` and ``load_rule_state``.
    """

    prompts: tuple[Prompt, ...] = field(init=False, repr=False, default=())
    rng: np.random.Generator = field(init=False, repr=False, compare=False)
    outstanding: dict[int, Pick] = field(init=False, repr=False, default_factory=dict)
    next_pick_id: int = field(init=False, repr=False, default=0)
    expired: int = field(init=False, repr=False, default=0)
    n_arms: int = field(init=False, repr=False, default=0)
    arm_picks: NDArray[np.int64] = field(init=False, repr=False)
    seen: set[str] = field(init=False, repr=False, default_factory=set)

    def start(self, prompts: Sequence[Prompt], seed: int = 0) -> Curriculum:
        """Bind the curriculum to a pool of prompts and seed it.

        Parameters
        ----------
        prompts : sequence of Prompt
            The pool. Its order does not matter: it is sorted by id.
        seed : int
            Seed of every draw.

        Raises
        ------
        SparftError
            If the pool is empty or an id appears twice.
        """
        if not prompts:
            raise SparftError("the pool has no prompts; check data.train_files.")
        self.prompts = tuple(sorted(prompts, key=lambda prompt: prompt.id))
        if len({prompt.id for prompt in self.prompts}) < len(self.prompts):
            raise SparftError("the pool holds the same prompt id twice; remove the duplicates.")
        self.rng = np.random.default_rng(seed)
        self.n_arms = max(prompt.arm for prompt in self.prompts) + 1
        self.arm_picks = np.zeros(self.n_arms, dtype=np.int64)
        self.begin()
        return self

    def select(self, n: int) -> list[Pick]:
        """Return exactly n picks; deterministic given the state.

        Raises
        ------
        SparftError
            If n is not positive.
        """
        if n <= 0:
            raise SparftError(f"cannot select {n} prompts; ask for at least one.")
        picks = []
        for prompt in self.choose(n):
            pick = Pick(self.next_pick_id, prompt)
            self.next_pick_id += 1
            self.outstanding[pick.pick_id] = pick
            self.arm_picks[prompt.arm] += 1
            self.seen.add(prompt.id)
            picks.append(pick)
        return picks

    def observe(self, outcomes: Iterable[Outcome]) -> None:
        """Learn from finished groups, in any order, with any delay, each pick at most once.

        The order in which groups arrive does not matter within a call: they are sorted by pick.

        Raises
        ------
        SparftError
            If a pick is unknown, was observed before, or has expired. Nothing is learned then.
        """
        ordered = sorted(outcomes, key=lambda outcome: outcome.pick.pick_id)
        ids = [self.pick(outcome.pick.pick_id).pick_id for outcome in ordered]
        if len(set(ids)) < len(ids):
            raise SparftError(f"a pick is observed twice in one call, of {ids}; give each once.")
        for outcome in ordered:
            if outcome.pick != self.outstanding[outcome.pick.pick_id]:
                raise SparftError(
                    f"pick {outcome.pick.pick_id} was made of another prompt than "
                    f"{outcome.pick.prompt.id}; observe the pick that select returned."
                )
        for pick_id in ids:
            del self.outstanding[pick_id]
        if ordered:
            self.learn(ordered)

    def pick(self, pick_id: int) -> Pick:
        """Return the outstanding pick of an id.

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

    def expire(self, picks: Iterable[Pick]) -> None:
        """Forget picks whose group will never come; unknown ones are ignored, others counted."""
        for pick in picks:
            if self.outstanding.pop(pick.pick_id, None) is not None:
                self.expired += 1

    def metrics(self) -> dict[str, float]:
        """Relative names; the host adds its prefix ``sparft/curriculum/``."""
        metrics = {
            "unique_prompts": float(len(self.seen)),
            "picks": float(self.next_pick_id),
            "expired": float(self.expired),
        }
        metrics.update({f"arm_{arm}/picks": float(n) for arm, n in enumerate(self.arm_picks)})
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """JSON-able state, versioned, random generator included."""
        return {
            "version": STATE_VERSION,
            "method": type(self).__name__,
            "prompts": [prompt.id for prompt in self.prompts],
            "arms": [prompt.arm for prompt in self.prompts],
            "rng": copy.deepcopy(self.rng.bit_generator.state),
            "outstanding": {str(k): pick.prompt.id for k, pick in self.outstanding.items()},
            "next_pick_id": self.next_pick_id,
            "expired": self.expired,
            "arm_picks": self.arm_picks.tolist(),
            "seen": sorted(self.seen),
            "rule": self.rule_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state saved by the same method on the same pool.

        Raises
        ------
        SparftError
            If keys are missing or unknown, or version, method or pool differ.
        """
        check_keys("curriculum state", state, self.state_dict())
        if state["version"] != STATE_VERSION:
            raise SparftError(
                f"the curriculum state has version {state['version']}, this package reads "
                f"{STATE_VERSION}; resume with the version that wrote it."
            )
        if state["method"] != type(self).__name__:
            raise SparftError(
                f"the curriculum state was written by {state['method']}, the config asks for "
                f"{type(self).__name__}; set sparft.curriculum.name back or start a new run."
            )
        known = {prompt.id: prompt for prompt in self.prompts}
        if list(state["prompts"]) != list(known):
            kept = len(known.keys() & set(state["prompts"]))
            raise SparftError(
                f"the prompts changed since the checkpoint ({kept} kept, {len(known) - kept} new, "
                f"{len(state['prompts']) - kept} gone); resume with the same data and reduction "
                "options, or start a new run."
            )
        moved = sum(a != p.arm for a, p in zip(state["arms"], self.prompts, strict=True))
        if moved:
            raise SparftError(
                f"{moved} of {len(known)} prompts moved to another arm since the checkpoint; "
                "resume with the same reduction options, or start a new run."
            )
        check_keys("curriculum rule state", state["rule"], self.rule_state())
        self.rng.bit_generator.state = state["rng"]
        self.outstanding = {int(k): Pick(int(k), known[v]) for k, v in state["outstanding"].items()}
        self.next_pick_id = int(state["next_pick_id"])
        self.expired = int(state["expired"])
        self.arm_picks = np.asarray(state["arm_picks"], dtype=np.int64)
        self.seen = set(state["seen"])
        self.load_rule_state(state["rule"])

    @abstractmethod
    def begin(self) -> None:
        """Set up the rule's own state; pool and generator are ready."""

    @abstractmethod
    def choose(self, n: int) -> list[Prompt]:
        """Choose n prompts."""

    @abstractmethod
    def learn(self, outcomes: Sequence[Outcome]) -> None:
        """Update the rule from outcomes, sorted by pick."""

    @abstractmethod
    def rule_state(self) -> dict[str, Any]:
        """JSON-able state of the rule alone."""

    @abstractmethod
    def load_rule_state(self, state: Mapping[str, Any]) -> None:
        """Restore what ``rule_state`` gave; the keys have been checked."""


def check_keys(what: str, got: Mapping[str, Any], wanted: Iterable[str]) -> None:
    """Refuse missing and unknown keys by name.

    Raises
    ------
    SparftError
        If the keys differ.
    """
    missing, unknown = sorted(set(wanted) - set(got)), sorted(set(got) - set(wanted))
    if missing or unknown:
        raise SparftError(
            f"the {what} has missing keys {missing} and unknown keys {unknown}; it was written by "
            "another version of this package."
        )
