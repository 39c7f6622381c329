"""The contract of a curriculum, as checks."""

from __future__ import annotations

import copy
import math
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum import Curriculum, Outcome, Pick, Prompt, PromptPool
from sparft_plugin.testing.expect import (
    expect,
    expect_dataclass,
    expect_refusal,
    name_of,
    through_json,
)

# Arm 2 has no prompts; arms differ in size.
PROMPTS = tuple(
    Prompt(f"prompt-{arm}-{i}", arm, difficulty=(i + arm) / 10)
    for arm, size in enumerate([4, 2, 0, 5])
    for i in range(size)
)
"""The prompts that a curriculum is checked with."""
NEW_PROMPTS = (Prompt("new-1", 0, 0.5), Prompt("new-2", 1, 0.5), Prompt("only", 0, 0.5))
"""Further prompts that turn up in some checks; a file of numbers by id must know them too."""

Moves = Sequence[tuple[str, int]]
LIFE: Moves = [
    ("select", 9),
    ("observe", 4),
    ("select", 6),
    ("expire", 2),
    ("observe", 5),
    ("select", 3),
]
SEEDS = range(8)
PARTS = ("inner", "by_arm", "by_prompt", "rule")


@dataclass(frozen=True)
class Subject:
    """A curriculum under check.

    Parameters
    ----------
    factory : callable
        The class, or a function, that makes a curriculum not yet started.
    options : dict
        What it is called with.
    """

    factory: Callable[..., Curriculum]
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How sentences call it."""
        return name_of(self.factory)

    def make(self, seed: int = 0, prompts: Sequence[Prompt] = PROMPTS) -> Curriculum:
        """Make a started curriculum over prompts with difficulties and embeddings."""
        vectors = [_embedding(prompt.id) for prompt in prompts]
        pool = PromptPool.of(prompts, np.array(vectors, dtype=np.float32))
        return self.factory(**self.options).start(pool, seed)

    def lived(self, seed: int = 0) -> Curriculum:
        """Make a curriculum with some history."""
        curriculum = self.make(seed)
        play(curriculum, LIFE)
        return curriculum


def check_curriculum(factory: Callable[..., Curriculum], **options: Any) -> None:
    """Check that a curriculum keeps the contract.

    It is asked for batches of many sizes, told of groups late, out of order and never, saved,
    restored, given another pool and given broken states. It must give exact counts of prompts of
    the pool, none twice in a batch that the pool can fill, depend on nothing but pool, seed and
    history, continue exactly from a saved state, and report finite metrics.

    Parameters
    ----------
    factory : callable
        The class, or a function, that makes a curriculum not yet started.
    **options
        What it is called with. The pools are made of ``PROMPTS`` and ``NEW_PROMPTS``.

    Raises
    ------
    AssertionError
        A sentence about the first thing that does not hold.
    """
    for check in CURRICULUM_CHECKS:
        check(Subject(factory, options))


def outcome(pick: Pick) -> Outcome:
    """Make a group whose accuracies depend on the pick alone."""
    rng = np.random.default_rng(pick.pick_id)
    accuracies = rng.integers(0, 2, size=rng.integers(1, 6)).astype(np.float64)
    return Outcome(pick, accuracies, accuracies - accuracies.mean())


def play(curriculum: Curriculum, moves: Moves) -> list[Pick]:
    """Select, observe the latest outstanding picks first, let the earliest expire."""
    made = []
    for move, n in moves:
        waiting = [curriculum.pick(pick_id) for pick_id in sorted(curriculum.outstanding)]
        if move == "select":
            made += curriculum.select(n)
        elif move == "observe":
            curriculum.observe([outcome(pick) for pick in waiting[::-1][:n]])
        else:
            curriculum.expire([pick.pick_id for pick in waiting[:n]])
    return made


def random_moves(seed: int) -> Moves:
    """Up to 15 moves of random sizes."""
    rng = np.random.default_rng(seed)
    names = rng.choice(["select", "observe", "expire"], size=rng.integers(16), p=[0.5, 0.35, 0.15])
    return [(str(name), int(rng.integers(1, 8))) for name in names]


def is_a_dataclass_of_the_contract(subject: Subject) -> None:
    """Its fields are its options."""
    expect_dataclass(subject.factory(**subject.options), Curriculum, subject.name)


def selects_exactly_n_prompts_of_the_pool(subject: Subject) -> None:
    """Also one, and more than there are."""
    for n in (1, 2, len(PROMPTS), 50):
        picks = subject.make().select(n)
        ids = [pick.pick_id for pick in picks]
        expect(ids == list(range(n)), f"{subject.name} gave picks {ids} where {n} were asked for.")
        strange = {pick.prompt for pick in picks} - set(PROMPTS)
        expect(not strange, f"{subject.name} gave prompts that are not in the pool: {strange}.")


def gives_no_prompt_twice_in_a_batch(subject: Subject) -> None:
    """If the pool can fill it."""
    for n in (1, 5, len(PROMPTS)):
        curriculum = subject.make()
        for _ in range(20):
            picks = curriculum.select(n)
            twice = [i for i, c in Counter(pick.prompt.id for pick in picks).items() if c > 1]
            expect(
                not twice,
                f"{subject.name} gave {twice} twice in a batch of {n} of {len(PROMPTS)} prompts.",
            )
            curriculum.observe([outcome(pick) for pick in picks])


def takes_a_single_prompt_as_a_pool(subject: Subject) -> None:
    """And gives it again and again."""
    curriculum = subject.make(prompts=NEW_PROMPTS[2:])
    picks = curriculum.select(3)
    curriculum.observe([outcome(pick) for pick in picks])
    ids = {pick.prompt.id for pick in picks + curriculum.select(2)}
    expect(ids == {"only"}, f"{subject.name} made {ids} of a pool with the one prompt 'only'.")


def saves_json(subject: Subject) -> None:
    """A checkpoint is data that anyone can read."""
    for curriculum in (subject.make(), subject.lived()):
        state = curriculum.state_dict()
        expect(
            through_json(state, subject.name) == state,
            f"the state of {subject.name} is another one when it was written as JSON.",
        )


def depends_on_seed_and_history_alone(subject: Subject) -> None:
    """The same twice gives the same twice."""
    for seed in SEEDS:
        one, other = subject.make(seed), subject.make(seed)
        moves = random_moves(seed)
        expect(
            play(one, moves) == play(other, moves) and one.state_dict() == other.state_dict(),
            f"{subject.name} did not repeat itself with seed {seed} and the same history.",
        )


def leaves_global_chance_alone(subject: Subject) -> None:
    """Numpy's global generator neither matters nor moves."""
    runs = []
    before = np.random.get_state()  # noqa: NPY002
    try:
        for seed in (1, 2):
            np.random.seed(seed)  # noqa: NPY002
            runs.append(play(subject.make(), LIFE))
            drawn = np.random.random()  # noqa: NPY002
            np.random.seed(seed)  # noqa: NPY002
            expect(
                drawn == np.random.random(),  # noqa: NPY002
                f"{subject.name} drew from numpy's global generator; draw from self.rng.",
            )
    finally:
        np.random.set_state(before)  # noqa: NPY002
    expect(runs[0] == runs[1], f"{subject.name} depends on numpy's global generator.")


def does_not_depend_on_the_order_of_the_pool(subject: Subject) -> None:
    """A dataset may list its rows in any order."""
    straight = subject.make()
    expected = play(straight, LIFE), straight.state_dict()
    for seed in SEEDS:
        order = np.random.default_rng(seed).permutation(len(PROMPTS))
        other = subject.make(prompts=[PROMPTS[i] for i in order])
        expect(
            (play(other, LIFE), other.state_dict()) == expected,
            f"{subject.name} gives other picks when the pool is listed in another order.",
        )


def does_not_depend_on_the_order_of_groups(subject: Subject) -> None:
    """Groups of one observation may arrive in any order."""
    for seed in SEEDS:
        order = np.random.default_rng(seed).permutation(12)
        one, other = subject.make(), subject.make()
        outcomes = [outcome(pick) for pick in one.select(12)]
        other.select(12)
        one.observe(outcomes)
        other.observe([outcomes[i] for i in order])
        expect(
            one.state_dict() == other.state_dict() and one.select(20) == other.select(20),
            f"{subject.name} learned something else when the groups came in another order.",
        )


def refuses_wrong_picks(subject: Subject) -> None:
    """An unknown pick, one observed twice, none asked for; nothing is learned then."""
    curriculum, name = subject.make(), subject.name
    first, second, _ = curriculum.select(3)
    curriculum.observe([outcome(first)])
    before = curriculum.state_dict()
    wrong = {
        "a pick that was observed before": [outcome(first)],
        "a pick that was never made": [outcome(Pick(99, second.prompt))],
        "a pick twice in one call": [outcome(second), outcome(second)],
        "a pick with another prompt": [outcome(Pick(second.pick_id, first.prompt))],
    }
    for what, outcomes in wrong.items():
        expect_refusal(
            partial(curriculum.observe, outcomes),
            "pick",
            f"{name} must refuse {what}",
        )
    expect_refusal(lambda: curriculum.select(0), "at least one", f"{name} must refuse select(0)")
    expect(curriculum.state_dict() == before, f"{name} changed its state by what it refused.")


def continues_exactly_from_a_saved_state(subject: Subject) -> None:
    """A resumed run is the uninterrupted one."""
    for seed in SEEDS:
        before, after = random_moves(seed), random_moves(seed + 100)
        straight, resumed = subject.make(seed), subject.make(seed + 1)
        play(straight, before)
        said = resumed.load_state_dict(through_json(straight.state_dict(), subject.name))
        expect(said is None, f"{subject.name} says of an unchanged pool: {said}")
        expect(
            resumed.state_dict() == straight.state_dict(),
            f"{subject.name} does not restore its whole state.",
        )
        expect(
            play(resumed, after) == play(straight, after)
            and resumed.state_dict() == straight.state_dict()
            and resumed.metrics() == straight.metrics()
            and resumed.select(20) == straight.select(20),
            f"{subject.name} goes on differently after its state was saved and loaded.",
        )


def replaces_what_happened_before_a_load(subject: Subject) -> None:
    """A used curriculum becomes the saved one."""
    used, fresh = subject.lived(seed=5), subject.make()
    play(used, LIFE)
    state = through_json(subject.lived().state_dict(), subject.name)
    for curriculum in (used, fresh):
        curriculum.load_state_dict(state)
    expect(
        used.state_dict() == fresh.state_dict() == state and play(used, LIFE) == play(fresh, LIFE),
        f"{subject.name} keeps something of its history when a state is loaded.",
    )


def saves_snapshots(subject: Subject) -> None:
    """A saved state neither changes with the run, nor when it is loaded and the run goes on."""
    curriculum = subject.lived()
    state = curriculum.state_dict()
    kept = copy.deepcopy(state)
    play(curriculum, LIFE)
    expect(state == kept, f"the state of {subject.name} changed after it was saved; copy arrays.")
    other = subject.make()
    other.load_state_dict(state)
    play(other, LIFE)
    expect(state == kept, f"{subject.name} wrote to a state that it had loaded; copy arrays.")


def refuses_states_with_other_keys(subject: Subject) -> None:
    """Missing and unknown ones, by name, and without a change."""
    name, state = subject.name, subject.lived().state_dict()
    curriculum = subject.lived(seed=1)
    before = curriculum.state_dict()
    for path in _holders(state):
        holder = _at(state, path)
        for key in holder:
            rest = {other: value for other, value in holder.items() if other != key}
            expect_refusal(
                partial(curriculum.load_state_dict, _with(state, path, rest)),
                rf"missing keys \['{key}'\]",
                f"{name} must refuse a state without '{'/'.join([*path, key])}' by name",
            )
        if not path or path[-1] in ("inner", "rule"):
            more = _with(state, path, {**holder, "novel": 1})
            expect_refusal(
                partial(curriculum.load_state_dict, more),
                r"unknown keys \['novel'\]",
                f"{name} must refuse a state with the unknown key 'novel' by name",
            )
    expect(curriculum.state_dict() == before, f"{name} was changed by a state that it refused.")


def refuses_the_state_of_another_method(subject: Subject) -> None:
    """By both names."""
    curriculum = subject.lived(seed=1)
    before = curriculum.state_dict()
    state = subject.lived().state_dict() | {"method": "SomeOther"}
    expect_refusal(
        lambda: curriculum.load_state_dict(state),
        "written by SomeOther, the config asks for ",
        f"{subject.name} must refuse the state of another method by name",
    )
    expect(
        curriculum.state_dict() == before,
        f"{subject.name} was changed by a state that it refused.",
    )


def maps_a_changed_pool_by_id(subject: Subject) -> None:
    """One prompt gone, two new; it goes on, and says so."""
    name, old = subject.name, subject.lived()
    curriculum = subject.make(prompts=[*PROMPTS[1:], *NEW_PROMPTS[:2]])
    report = curriculum.load_state_dict(through_json(old.state_dict(), name))
    counts = f"{len(PROMPTS) - 1} kept, 2 new, 1 gone."
    expect(
        report is not None and report.endswith(counts),
        f"{name} must report a changed pool with '{counts}', not: {report}",
    )
    gone = PROMPTS[0].id
    still = {k for k in old.outstanding if old.pick(k).prompt.id != gone}
    expect(
        set(curriculum.outstanding) == still
        and all(curriculum.pick(k).prompt == old.pick(k).prompt for k in still)
        and curriculum.expired == old.expired + len(old.outstanding) - len(still)
        and curriculum.next_pick_id == old.next_pick_id,
        f"{name} must keep the picks of prompts that are still there, and expire the others.",
    )
    curriculum.observe([outcome(curriculum.pick(k)) for k in still])
    expect(len(curriculum.select(20)) == 20, f"{name} must go on over a changed pool.")


def starts_moved_arms_afresh(subject: Subject) -> None:
    """What was learned of arms does not hold if prompts moved to others."""
    moved = [prompt._replace(arm=(prompt.arm + 1) % 4) for prompt in PROMPTS]
    curriculum, fresh = subject.make(prompts=moved), subject.make(prompts=moved)
    state = through_json(subject.lived().state_dict(), subject.name)
    report = curriculum.load_state_dict(state)
    expect(
        report is not None and f"{len(PROMPTS)} moved to another arm" in report,
        f"{subject.name} must report the prompts that moved to another arm, not: {report}",
    )
    expect(
        _by_arm(curriculum.state_dict()) == _by_arm(fresh.state_dict()),
        f"{subject.name} keeps what it learned of arms whose prompts moved.",
    )
    expect(len(curriculum.select(20)) == 20, f"{subject.name} must go on over moved arms.")


def reports_finite_metrics_that_add_up(subject: Subject) -> None:
    """Relative names; picks by arm and prompt are those made."""
    for seed in SEEDS:
        curriculum = subject.make()
        made = play(curriculum, random_moves(seed))
        metrics = curriculum.metrics()
        for key, value in metrics.items():
            expect(
                not key.startswith(("sparft", "curriculum", "/")),
                f"the metric '{key}' of {subject.name} must be a relative name.",
            )
            expect(
                type(value) is float and math.isfinite(value),
                f"the metric '{key}' of {subject.name} must be a finite float, not {value!r}.",
            )
        wanted = {"picks": len(made), "unique_prompts": len({pick.prompt.id for pick in made})}
        by_arm = Counter(pick.prompt.arm for pick in made)
        wanted |= {f"arm_{arm}/picks": by_arm[arm] for arm in range(4)}
        got = {key: metrics.get(key) for key in wanted}
        expect(got == wanted, f"{subject.name} reports {got}, where {wanted} was picked.")


def changes_nothing_when_it_is_read(subject: Subject) -> None:
    """Metrics and state may be asked for at any time."""
    read, unread = subject.lived(), subject.lived()
    for _ in range(3):
        read.metrics()
        read.state_dict()
    expect(
        read.state_dict() == unread.state_dict() and read.select(30) == unread.select(30),
        f"{subject.name} is changed by metrics() or state_dict().",
    )


CURRICULUM_CHECKS: tuple[Callable[[Subject], None], ...] = (
    is_a_dataclass_of_the_contract,
    selects_exactly_n_prompts_of_the_pool,
    gives_no_prompt_twice_in_a_batch,
    takes_a_single_prompt_as_a_pool,
    reports_finite_metrics_that_add_up,
    saves_json,
    depends_on_seed_and_history_alone,
    leaves_global_chance_alone,
    does_not_depend_on_the_order_of_the_pool,
    does_not_depend_on_the_order_of_groups,
    refuses_wrong_picks,
    continues_exactly_from_a_saved_state,
    replaces_what_happened_before_a_load,
    saves_snapshots,
    refuses_states_with_other_keys,
    refuses_the_state_of_another_method,
    maps_a_changed_pool_by_id,
    starts_moved_arms_afresh,
    changes_nothing_when_it_is_read,
)
"""What ``check_curriculum`` does, one by one."""


def _embedding(prompt_id: str) -> NDArray[np.float64]:
    """A unit vector that depends on a prompt's id alone."""
    vector = np.random.default_rng(zlib.crc32(prompt_id.encode())).normal(size=4)
    unit: NDArray[np.float64] = vector / np.linalg.norm(vector)
    return unit


def _holders(state: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of the mappings with fixed keys in a state, those of wrapped curricula included."""
    yield path
    if not path or path[-1] == "inner":
        for part in PARTS:
            if part in _at(state, path):
                yield from _holders(state, (*path, part))


def _at(state: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    for key in path:
        state = state[key]
    return state


def _with(state: dict[str, Any], path: tuple[str, ...], value: dict[str, Any]) -> dict[str, Any]:
    if not path:
        return value
    return {**state, path[0]: _with(state[path[0]], path[1:], value)}


def _by_arm(state: dict[str, Any]) -> list[Any]:
    return [state["by_arm"], *(_by_arm(state["inner"]) if "inner" in state else [])]
