"""The curriculum contract: select prompts, observe finished groups, save and restore."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.ledger import Ledger, Remap
from sparft_plugin.curriculum.options import check_options, choice
from sparft_plugin.curriculum.pool import Passes, PromptPool, rank_among_equals
from sparft_plugin.curriculum.records import Groups, Outcome, Pick, Prompt
from sparft_plugin.curriculum.state import check_state, fill, pack, unpack
from sparft_plugin.errors import SparftError
from sparft_plugin.options import check_whole

STATE_VERSION = 2


def per_arm(start: float = 0.0, dtype: Any = np.float64) -> Any:
    """Field of a method: a number for every arm, shape (arms,), made, saved and restored for it."""
    return field(init=False, repr=False, metadata={"of": "arm", "start": start, "dtype": dtype})


def per_prompt(start: float = 0.0, dtype: Any = np.float64) -> Any:
    """Field of a method: a number for every prompt, shape (n,), which follows the prompt's id."""
    return field(init=False, repr=False, metadata={"of": "prompt", "start": start, "dtype": dtype})


def per_run(start: float | None = None) -> Any:
    """Field of a method: one number or None, or an array of any length that ``begin`` makes."""
    return field(init=False, repr=False, metadata={"of": "run", "start": start})


@dataclass(eq=False)
class Curriculum(ABC):
    """Decides which prompt comes next and learns from every finished group.

    A method is a dataclass whose fields are its options (``number``, ``whole`` and ``choice``
    declare their ranges), and what it learns: ``per_arm``, ``per_prompt`` and ``per_run`` declare
    what is saved. ``start`` binds it to a pool; then ``select`` and ``observe`` may interleave in
    any order, with any delay. This class owns pick ids, the random generator, the outstanding
    picks, metrics and state; a method owns its rule: ``choose``, ``learn``, and ``begin`` if it has
    something to prepare.

    Attributes
    ----------
    paper, unit, signal, use : str
        For the table of methods: source (``arXiv:2508.05015`` becomes a link), what is chosen,
        what is learned from ("none" of a method that learns nothing), and when to use it.
    needs_difficulty, needs_embeddings : bool
        What the pool must have; ``start`` refuses one that lacks it.
    needs_group : bool
        Whether the signal is a comparison of the rollouts of one group. A host refuses such a
        method where groups have one rollout, or where its trainer makes no such comparison.
    ledger : Ledger
        The book of the run: what is outstanding, and ``planned_steps``, the training steps of the
        whole run if the host knows them, which is no part of a state.
    passes : Passes or None
        Saved with the rest if ``begin`` makes them.
    """

    paper: ClassVar[str] = ""
    unit: ClassVar[str] = ""
    signal: ClassVar[str] = ""
    use: ClassVar[str] = ""
    section: ClassVar[str] = "sparft.curriculum"
    needs_difficulty: ClassVar[bool] = False
    needs_embeddings: ClassVar[bool] = False
    needs_group: ClassVar[bool] = False

    pool: PromptPool = field(init=False, repr=False)
    rng: np.random.Generator = field(init=False, repr=False)
    ledger: Ledger = field(init=False, repr=False)
    passes: Passes | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        check_options(self, self.section)

    def start(self, prompts: Sequence[Prompt] | PromptPool, seed: int = 0) -> Curriculum:
        """Bind the curriculum to a pool, in any order, and seed every draw.

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
        self._begin_anew()
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

    def select(self, n: int) -> list[Pick]:
        """Return exactly n >= 1 picks; deterministic given the state.

        No prompt comes twice in one call if the pool has at least n; in a larger batch none comes
        more often than n / (size of the pool), rounded up.
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
        """Return the outstanding pick of an id; others are refused."""
        return Pick(pick_id, self.pool.prompt(self.ledger.position(pick_id)))

    def expire(self, pick_ids: Iterable[int]) -> None:
        """Forget picks whose group will never come; unknown ones are ignored, others counted."""
        self.ledger.expire(pick_ids)

    def metrics(self) -> dict[str, float]:
        """Relative names; the host adds its prefix ``sparft/curriculum/``."""
        return self.ledger.metrics()

    def arm_metrics(self, name: str, values: NDArray[np.floating]) -> dict[str, float]:
        """One metric per arm: ``arm_3/posterior_mean``."""
        return {f"arm_{arm}/{name}": float(value) for arm, value in enumerate(values)}

    def state_dict(self) -> dict[str, Any]:
        """JSON-able state, versioned, random generator included."""
        return {
            "version": STATE_VERSION,
            "method": self.label,
            "prompts": [identity.decode() for identity in self.pool.ids.tolist()],
            "arms": pack(self.pool.arms),
            "rng": self.rng.bit_generator.state,
            **self.ledger.state(),
            **self._learned(),
        }

    def _learned(self) -> dict[str, Any]:
        return {
            "by_arm": {name: pack(getattr(self, name)) for name in self._fields_of("arm")},
            "by_prompt": {name: pack(getattr(self, name)) for name in self._fields_of("prompt")},
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

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Refuse a state that ``load_state_dict`` cannot restore; changes nothing."""
        own = {"version": STATE_VERSION, "method": self.label, **self._learned()}
        # Of the pool only the names matter, and a large one takes long to write.
        check_state(state, own | dict.fromkeys(("prompts", "arms", "rng")) | self.ledger.state())

    def restore(self, state: Mapping[str, Any]) -> Remap:
        """Become what a checked state says; where its prompts are in the pool now."""
        remap = Remap.between(state, self.pool)
        self._begin_anew()
        self.rng.bit_generator.state = state["rng"]
        self.ledger.load(state, remap)
        self.load_rule(state, remap)
        return remap

    def _begin_anew(self) -> None:
        """Set all that is learned to where it starts; pool and generator are ready."""
        sizes = {"arm": self.n_arms, "prompt": len(self.pool)}
        for one in fields(self):
            of, start = one.metadata.get("of"), one.metadata.get("start")
            if of in sizes:
                setattr(self, one.name, np.full(sizes[of], start, one.metadata["dtype"]))
            elif of == "run":
                setattr(self, one.name, start)
        self.begin()

    def load_rule(self, state: Mapping[str, Any], remap: Remap) -> None:
        """Fill the rule's arrays and numbers, which hold their prior, with what was saved."""
        for name in self._fields_of("arm") if remap.same_arms else ():
            fill(getattr(self, name), state["by_arm"][name])
        for name in self._fields_of("prompt"):
            fill(getattr(self, name), state["by_prompt"][name], remap.to)
        if remap.same_pool or remap.same_arms:
            self.load_rule_state(state["rule"], remap)

    def begin(self) -> None:  # noqa: B027
        """Prepare what the fields do not say, such as priors that depend on options."""

    @abstractmethod
    def choose(self, n: int) -> NDArray[np.int64]:
        """Choose n prompts, as positions in the pool."""

    @abstractmethod
    def learn(self, groups: Groups) -> None:
        """Update the rule from groups in the order of their picks, at least one."""

    def rule_state(self) -> dict[str, Any]:
        """JSON-able rest of the rule's state: the ``per_run`` numbers, and the passes."""
        state = {} if self.passes is None else self.passes.state()
        for name in self._fields_of("run"):
            value = getattr(self, name)
            state[name] = pack(value) if isinstance(value, np.ndarray) else value
        return state

    def load_rule_state(self, state: Mapping[str, Any], remap: Remap) -> None:
        """Restore what ``rule_state`` gave; the keys have been checked.

        Called only if the pool is the same or no prompt moved to another arm; otherwise the rule
        stays as it began. Over a changed pool passes begin anew.
        """
        for name in self._fields_of("run"):
            old, new = getattr(self, name), state[name]
            setattr(self, name, unpack(new, old) if isinstance(old, np.ndarray) else new)
        if self.passes is not None and remap.same_pool:
            self.passes.load(state)

    def _fields_of(self, what: str) -> tuple[str, ...]:
        return tuple(one.name for one in fields(self) if one.metadata.get("of") == what)


@dataclass(eq=False)
class ArmCurriculum(Curriculum):
    """A bandit over arms; inside an arm, shuffled passes without replacement.

    A method gives ``score_arms`` and ``update_arms``. Arms are drawn by the softmax of the scores
    at temperature 1: divide by one of your own, or give ``draw_arms`` to take the best.

    Parameters
    ----------
    draw : {"slot", "step"}, default "slot"
        Draw an arm for every slot of a batch, or one for the whole batch and another where it has
        given all its prompts.
    """

    draw: str = choice("slot", "step")
    passes: Passes = field(init=False, repr=False)

    @abstractmethod
    def score_arms(self) -> NDArray[np.float64]:
        """Log-weight of every arm, shape (arms,), finite; drawn by the softmax at temperature 1."""

    @abstractmethod
    def update_arms(self, groups: Groups) -> None:
        """Learn from all groups of one observation, at least one."""

    def draw_arms(self, n: int, open_arms: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Draw n arms independently, shape (n,), of those that are open, shape (arms,)."""
        scores = np.where(open_arms, self.score_arms(), -np.inf)
        for arm in np.flatnonzero(open_arms & ~np.isfinite(scores)):
            raise SparftError(
                f"{type(self).__name__} gave arm {arm} the score {scores[arm]}; score_arms must be "
                "finite where an arm has prompts."
            )
        weights = np.exp(scores - scores.max())
        return self.rng.choice(len(weights), size=n, p=weights / weights.sum())

    def begin(self) -> None:
        """Start the first pass of every arm."""
        self.passes = Passes(self.pool.arms)

    def choose(self, n: int) -> NDArray[np.int64]:
        """Draw an arm per slot or per step, then the next prompt of its pass."""
        room = self.passes.sizes * -(-n // len(self.pool))
        found = np.empty(0, dtype=np.int64)
        while len(found) < n:
            wanted = n - len(found)
            asked, open_arms = wanted if self.draw == "slot" else 1, room > 0
            drawn = self.draw_arms(asked, open_arms)
            closed = np.setdiff1d(drawn, np.flatnonzero(open_arms))
            if len(drawn) != asked or len(closed):
                raise SparftError(
                    f"{type(self).__name__}.draw_arms drew {len(drawn)} arms where {asked} were "
                    f"asked for, of which {closed.tolist()} are closed; draw as many as are asked "
                    "for, and only those that open_arms marks."
                )
            if self.draw == "step":
                drawn = np.repeat(drawn, min(wanted, int(room[drawn[0]])))
            fits = drawn[rank_among_equals(drawn) < room[drawn]]
            room -= np.bincount(fits, minlength=len(room))
            found = np.concatenate([found, fits])
        return self.passes.batch(found, self.rng)

    def learn(self, groups: Groups) -> None:
        """Pass the groups on to the rule."""
        self.update_arms(groups)


@dataclass(eq=False)
class PromptCurriculum(Curriculum):
    """Keep the best-scored of some candidates; a method gives a score and an update.

    Parameters
    ----------
    candidates : int >= 1 or None, default None
        Candidates per slot, drawn from the pool without replacement; None scores every prompt.
        Fewer are cheaper and choose more by chance.
    """

    candidates: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.candidates is not None:
            name = f"{self.section}.candidates"
            check_whole(name, self.candidates, 1, "; null takes every prompt")

    @abstractmethod
    def score_prompts(self, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Score of some prompts of the pool, shape (c,); the highest are kept."""

    @abstractmethod
    def update_prompts(self, groups: Groups) -> None:
        """Learn from all groups of one observation, at least one."""

    def choose(self, n: int) -> NDArray[np.int64]:
        """Keep the n best candidates, ties by chance; a pool that is too small comes again."""
        whole, rest = divmod(n, len(self.pool))
        rounds = [self.rng.permutation(len(self.pool)) for _ in range(whole)]
        if rest:
            rounds.append(self._best(rest))
        return np.concatenate(rounds)

    def _best(self, n: int) -> NDArray[np.int64]:
        positions = self._candidates(n)
        return self._keep(positions, self.score_prompts(positions), n)

    def _candidates(self, n: int) -> NDArray[np.int64]:
        """Distinct positions to score for n slots, at least n."""
        size = len(self.pool)
        if self.candidates is None or n * self.candidates >= size:
            return np.arange(size)
        return self.rng.choice(size, size=n * self.candidates, replace=False)

    def _keep(
        self, positions: NDArray[np.int64], scores: NDArray[np.float64], n: int
    ) -> NDArray[np.int64]:
        """The n best of some positions, ties by chance, in random order."""
        for at in np.flatnonzero(np.isnan(scores))[:1]:
            raise SparftError(
                f"{type(self).__name__} gave the prompt {self.pool.ids[positions[at]].decode()} "
                "the score NaN; score_prompts must give numbers."
            )
        border = np.partition(scores, len(scores) - n)[len(scores) - n]
        sure = np.flatnonzero(scores > border)
        tied = np.flatnonzero(scores == border)
        chosen = np.concatenate([sure, self.rng.permutation(tied)[: n - len(sure)]])
        return self.rng.permutation(positions[chosen])

    def learn(self, groups: Groups) -> None:
        """Pass the groups on to the rule."""
        self.update_prompts(groups)
