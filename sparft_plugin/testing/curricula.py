"""The contract of a curriculum, as checks."""

from __future__ import annotations

import copy
import math
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np

from sparft_plugin.curriculum import (
    ArmCurriculum,
    Curriculum,
    Outcome,
    Pick,
    Prompt,
    PromptCurriculum,
    PromptPool,
)
from sparft_plugin.curriculum import state as states
from sparft_plugin.testing.expect import (
    Checked,
    expect,
    expect_dataclass,
    expect_refusal,
    global_seed,
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
NAMES = ("select", "observe", "select", "expire", "observe", "select")
LIFE: Moves = list(zip(NAMES, (9, 4, 6, 2, 5, 3), strict=True))
SEEDS = range(6)
PARTS = ("inner", "by_arm", "by_prompt", "rule")


@dataclass(frozen=True)
class Subject(Checked[Curriculum]):
    """A curriculum under check."""

    def started(self, seed: int = 0, prompts: Sequence[Prompt] = PROMPTS) -> Curriculum:
        """Make it and start it over prompts with difficulties and embeddings."""
        seeds = [zlib.crc32(prompt.id.encode()) for prompt in prompts]
        vectors = np.array([np.random.default_rng(one).normal(size=4) for one in seeds])
        units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return self.make().start(PromptPool.of(prompts, units.astype(np.float32)), seed)

    def lived(self, seed: int = 0) -> Curriculum:
        """Make it and give it some history."""
        curriculum = self.started(seed)
        play(curriculum, LIFE)
        return curriculum

    def saved(self, curriculum: Curriculum) -> Any:
        """Its state, through JSON."""
        return through_json(curriculum.state_dict(), self.name)

    def expect(self, holds: bool, sentence: str) -> None:
        """Expect something; the sentence is about it."""
        expect(holds, f"{self.name} {sentence}")

    def refuses(self, action: Callable[[], Any], pattern: str, what: str) -> None:
        """Expect that it refuses something in words that have a pattern."""
        expect_refusal(action, pattern, f"{self.name} must refuse {what}")


def check_curriculum(factory: Callable[..., Curriculum], **options: Any) -> None:
    """Check that a curriculum keeps the contract.

    It is asked for batches of many sizes, told of groups late, out of order and never, saved,
    restored, given another pool and given broken states. It must give exact counts of prompts of
    the pool, none twice in a batch that the pool can fill, depend on nothing but pool, seed and
    history, continue exactly from a saved state, and report finite metrics. What it is told must
    change some pick, unless its ``signal`` is "none", or it is a plain `Curriculum` that names no
    signal. The pools are made of ``PROMPTS`` and ``NEW_PROMPTS``.
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


def fills_batches_of_any_size(subject: Subject) -> None:
    """Exact counts of prompts of the pool, none more often than the pool makes necessary."""
    size = len(PROMPTS)
    expect_dataclass(subject.make(), Curriculum, subject.name)
    for n in (1, 5, size, size + 1, 2 * size, 50):
        curriculum = subject.started()
        for batch in range(20 if n <= size else 5):
            picks = curriculum.select(n)
            ids = [pick.pick_id for pick in picks]
            wanted = list(range(batch * n, batch * n + n))
            subject.expect(ids == wanted, f"gave picks {ids} where {n} were asked for.")
            strange = {pick.prompt for pick in picks} - set(PROMPTS)
            subject.expect(not strange, f"gave prompts that are not in the pool: {strange}.")
            ((often, times),) = Counter(pick.prompt.id for pick in picks).most_common(1)
            subject.expect(
                times <= -(-n // size),
                f"gave {often} {times} times in a batch of {n} of {size} prompts.",
            )
            curriculum.observe([outcome(pick) for pick in picks])


def takes_a_single_prompt_as_a_pool(subject: Subject) -> None:
    """And gives it again and again."""
    curriculum = subject.started(prompts=NEW_PROMPTS[2:])
    picks = curriculum.select(3)
    curriculum.observe([outcome(pick) for pick in picks])
    ids = {pick.prompt.id for pick in picks + curriculum.select(2)}
    subject.expect(ids == {"only"}, f"made {ids} of a pool with the one prompt 'only'.")


def reports_finite_metrics_that_add_up(subject: Subject) -> None:
    """Relative names; picks by arm and prompt are those made."""
    for seed in SEEDS:
        curriculum = subject.started()
        made = play(curriculum, random_moves(seed))
        metrics = curriculum.metrics()
        for key, value in metrics.items():
            what = f"the metric '{key}' of {subject.name}"
            relative = not key.startswith(("sparft", "curriculum", "/"))
            expect(relative, f"{what} must be a relative name.")
            finite = type(value) is float and math.isfinite(value)
            expect(finite, f"{what} must be a finite float, not {value!r}.")
        wanted = {"picks": len(made), "unique_prompts": len({pick.prompt.id for pick in made})}
        by_arm = Counter(pick.prompt.arm for pick in made)
        wanted |= {f"arm_{arm}/picks": by_arm[arm] for arm in range(4)}
        got = {key: metrics.get(key) for key in wanted}
        subject.expect(got == wanted, f"reports {got}, where {wanted} was picked.")


def depends_on_seed_and_history_alone(subject: Subject) -> None:
    """The same twice gives the same twice; numpy's global generator neither matters nor moves."""
    for seed in SEEDS:
        one, other = subject.started(seed), subject.started(seed)
        moves = random_moves(seed)
        subject.expect(
            play(one, moves) == play(other, moves) and one.state_dict() == other.state_dict(),
            f"did not repeat itself with seed {seed} and the same history.",
        )
    runs = []
    for seed in (1, 2):
        with global_seed(seed) as untouched:
            runs.append(play(subject.started(), LIFE))
            subject.expect(untouched(), "drew from numpy's global generator; draw from self.rng.")
    subject.expect(runs[0] == runs[1], "depends on numpy's global generator.")


def learns_from_what_it_is_told(subject: Subject) -> None:
    """Histories that differ lead to picks that differ, all chance being equal."""
    made: Any = subject.make()
    while hasattr(made, "inner"):
        made = made.inner
    silent = not made.signal and not isinstance(made, (ArmCurriculum, PromptCurriculum))
    if made.signal == "none" or silent:
        return
    later = []
    for easy in ({0}, {3}, set(range(9)), None):
        curriculum = subject.started()
        curriculum.ledger.planned_steps = 12
        for step in range(12):
            picks = curriculum.select(8)
            if easy is not None:
                # Better with each step in easy arms, all wrong in the others.
                right = [(1 + step // 4) * (pick.prompt.arm in easy) for pick in picks]
                told = (np.arange(4) < np.array(right)[:, None]).astype(np.float64)
                groups = zip(picks, told, strict=True)
                curriculum.observe([Outcome(pick, a, a - a.mean()) for pick, a in groups])
        curriculum.rng.bit_generator.state = np.random.default_rng(0).bit_generator.state
        later.append([pick.prompt.id for _ in range(20) for pick in curriculum.select(5)])
    subject.expect(
        any(picks != later[0] for picks in later),
        "picks the same whatever it was told in 12 steps; if it is to learn nothing, say so by its "
        'class variable signal = "none".',
    )


def does_not_depend_on_the_order_of_pool_or_groups(subject: Subject) -> None:
    """A dataset may list its rows in any order, and groups of a step may arrive in any."""
    straight = subject.started()
    expected = play(straight, LIFE), straight.state_dict()
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        other = subject.started(prompts=[PROMPTS[i] for i in rng.permutation(len(PROMPTS))])
        subject.expect(
            (play(other, LIFE), other.state_dict()) == expected,
            "gives other picks when the pool is listed in another order.",
        )
        one, other = subject.started(), subject.started()
        outcomes = [outcome(pick) for pick in one.select(12)]
        other.select(12)
        one.observe(outcomes)
        other.observe([outcomes[i] for i in rng.permutation(12)])
        subject.expect(
            one.state_dict() == other.state_dict() and one.select(20) == other.select(20),
            "learned something else when the groups came in another order.",
        )


def refuses_wrong_picks(subject: Subject) -> None:
    """One unknown, expired or observed before, none asked for; nothing is learned then."""
    curriculum = subject.started()
    first, second, third, fourth = curriculum.select(4)
    curriculum.observe([outcome(first)])
    curriculum.expire([third.pick_id])
    before = curriculum.state_dict()
    wrong = {
        "a pick that was observed before": [outcome(first)],
        "a pick that has expired": [outcome(fourth), outcome(third)],
        "a pick that was never made": [outcome(Pick(99, second.prompt))],
        "a pick twice in one call": [outcome(second), outcome(second)],
        "a pick with another prompt": [outcome(Pick(second.pick_id, first.prompt))],
    }
    for what, outcomes in wrong.items():
        subject.refuses(partial(curriculum.observe, outcomes), "pick", what)
    subject.refuses(partial(curriculum.select, 0), "at least one", "select(0)")
    subject.expect(curriculum.state_dict() == before, "changed its state by what it refused.")


def continues_exactly_from_a_saved_state(subject: Subject) -> None:
    """A resumed run is the uninterrupted one, also with arrays packed as those of a large pool."""
    for seed, packed in zip(SEEDS, (states.PACKED, 1) * 3, strict=True):
        before, after = random_moves(seed), random_moves(seed + 100)
        straight, resumed = subject.started(seed), subject.started(seed + 1)
        play(straight, before)
        with patch.object(states, "PACKED", packed):
            said = resumed.load_state_dict(subject.saved(straight))
        subject.expect(said is None, f"says of an unchanged pool: {said}")
        subject.expect(
            resumed.state_dict() == straight.state_dict(), "does not restore its whole state."
        )
        subject.expect(
            play(resumed, after) == play(straight, after)
            and resumed.state_dict() == straight.state_dict()
            and resumed.metrics() == straight.metrics()
            and resumed.select(20) == straight.select(20),
            "goes on differently after its state was saved and loaded.",
        )


def replaces_what_happened_before_a_load(subject: Subject) -> None:
    """A used curriculum becomes the saved one."""
    used, fresh = subject.lived(seed=5), subject.started()
    play(used, LIFE)
    state = subject.saved(subject.lived())
    for curriculum in (used, fresh):
        curriculum.load_state_dict(state)
    subject.expect(
        used.state_dict() == fresh.state_dict() == state and play(used, LIFE) == play(fresh, LIFE),
        "keeps something of its history when a state is loaded.",
    )


def saves_snapshots(subject: Subject) -> None:
    """A state is JSON, and changes neither with the run nor with another that loaded it."""
    curriculum, name = subject.lived(), subject.name
    state = curriculum.state_dict()
    kept = copy.deepcopy(state)
    expect(through_json(state, name) == state, f"the state of {name} is another one as JSON.")
    play(curriculum, LIFE)
    expect(state == kept, f"the state of {name} changed after it was saved; copy arrays.")
    other = subject.started()
    other.load_state_dict(state)
    play(other, LIFE)
    subject.expect(state == kept, "wrote to a state that it had loaded; copy arrays.")


def answers_only_the_picks_of_a_loaded_state(subject: Subject) -> None:
    """A state loaded between a selection and its groups knows the picks made before it was saved.

    Those made later are strange to it; ids it gives anew are picks of its own.
    """
    curriculum = subject.started()
    before = curriculum.select(3)
    state = subject.saved(curriculum)
    later = curriculum.select(3)
    curriculum.load_state_dict(state)
    for pick in later:
        told = [outcome(before[0]), outcome(pick)]
        what = "a pick that was made after the state it has loaded"
        subject.refuses(partial(curriculum.observe, told), "pick", what)
    subject.expect(curriculum.state_dict() == state, "changed its state by what it refused.")
    subject.expect(curriculum.select(3) == later, "makes other picks after a load than before it.")
    curriculum.observe([outcome(pick) for pick in [*later, *before]])
    left = dict(curriculum.outstanding)
    subject.expect(not left, f"still waits for {left}, all of which was observed.")


def refuses_strange_states(subject: Subject) -> None:
    """Missing and unknown keys and another method, by name, and without a change."""
    state, curriculum = subject.lived().state_dict(), subject.lived(seed=1)
    before = curriculum.state_dict()

    def refuses(strange: dict[str, Any], pattern: str, what: str) -> None:
        action = partial(curriculum.load_state_dict, strange)
        subject.refuses(action, pattern, f"a state {what} by name")

    for path, holder in _holders(state):
        for key in holder:
            rest = {other: value for other, value in holder.items() if other != key}
            what = f"without '{'/'.join([*path, key])}'"
            refuses(_with(state, path, rest), rf"missing keys \['{key}'\]", what)
        if not path or path[-1] in ("inner", "rule"):
            more = _with(state, path, {**holder, "novel": 1})
            refuses(more, r"unknown keys \['novel'\]", "with the unknown key 'novel'")
    other = state | {"method": "SomeOther"}
    refuses(other, "written by SomeOther, the config asks for ", "of another method")
    subject.expect(curriculum.state_dict() == before, "was changed by a state that it refused.")


def _holders(
    state: dict[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """The mappings with fixed keys in a state, and their paths; those of inner states too."""
    yield path, state
    if not path or path[-1] == "inner":
        for part in PARTS:
            if part in state:
                yield from _holders(state[part], (*path, part))


def _with(state: dict[str, Any], path: tuple[str, ...], value: dict[str, Any]) -> dict[str, Any]:
    if not path:
        return value
    return {**state, path[0]: _with(state[path[0]], path[1:], value)}


def maps_a_changed_pool_by_id(subject: Subject) -> None:
    """One prompt gone, two new; it goes on, and says so."""
    old = subject.lived()
    curriculum = subject.started(prompts=[*PROMPTS[1:], *NEW_PROMPTS[:2]])
    report = curriculum.load_state_dict(subject.saved(old))
    counts = f"{len(PROMPTS) - 1} kept, 2 new, 1 gone."
    subject.expect(
        report is not None and report.endswith(counts),
        f"must report a changed pool with '{counts}', not: {report}",
    )
    still = {k for k in old.outstanding if old.pick(k).prompt.id != PROMPTS[0].id}
    subject.expect(
        set(curriculum.outstanding) == still
        and all(curriculum.pick(k).prompt == old.pick(k).prompt for k in still)
        and curriculum.ledger.expired == old.ledger.expired + len(old.outstanding) - len(still)
        and curriculum.next_pick_id == old.next_pick_id,
        "must keep the picks of prompts that are still there, and expire the others.",
    )
    curriculum.observe([outcome(curriculum.pick(k)) for k in still])
    subject.expect(len(curriculum.select(20)) == 20, "must go on over a changed pool.")


def goes_on_when_an_arm_empties(subject: Subject) -> None:
    """Filtered data may lack all prompts of an arm, the last one too; they may come back."""
    state = subject.saved(subject.lived())
    for emptied in (1, 3):
        left = [prompt for prompt in PROMPTS if prompt.arm != emptied]
        for prompts in (left, PROMPTS):
            curriculum = subject.started(prompts=prompts)
            curriculum.load_state_dict(state)
            got = [pick.prompt for pick in curriculum.select(len(prompts))]
            subject.expect(
                set(got) == set(prompts),
                f"must pick all of {len(prompts)} prompts in a batch of as many, after arm "
                f"{emptied} lost its prompts or got them back; it picked {got}.",
            )
            curriculum.observe([outcome(curriculum.pick(k)) for k in curriculum.outstanding])
            state = subject.saved(curriculum)


def starts_moved_arms_afresh(subject: Subject) -> None:
    """What was learned of arms does not hold if prompts moved to others."""
    moved = [prompt._replace(arm=(prompt.arm + 1) % 4) for prompt in PROMPTS]
    curriculum, fresh = subject.started(prompts=moved), subject.started(prompts=moved)
    report = curriculum.load_state_dict(subject.saved(subject.lived()))
    subject.expect(
        report is not None and f"{len(PROMPTS)} moved to another arm" in report,
        f"must report the prompts that moved to another arm, not: {report}",
    )
    held, new = (
        [part for path, part in _holders(one.state_dict()) if path[-1:] == ("by_arm",)]
        for one in (curriculum, fresh)
    )
    subject.expect(held == new, "keeps what it learned of arms whose prompts moved.")
    subject.expect(len(curriculum.select(20)) == 20, "must go on over moved arms.")


def changes_nothing_when_it_is_read(subject: Subject) -> None:
    """Metrics and state may be asked for at any time."""
    read, unread = subject.lived(), subject.lived()
    for _ in range(3):
        read.metrics()
        read.state_dict()
    subject.expect(
        read.state_dict() == unread.state_dict() and read.select(30) == unread.select(30),
        "is changed by metrics() or state_dict().",
    )


CURRICULUM_CHECKS: tuple[Callable[[Subject], None], ...] = (
    fills_batches_of_any_size,
    takes_a_single_prompt_as_a_pool,
    reports_finite_metrics_that_add_up,
    saves_snapshots,
    depends_on_seed_and_history_alone,
    learns_from_what_it_is_told,
    does_not_depend_on_the_order_of_pool_or_groups,
    refuses_wrong_picks,
    continues_exactly_from_a_saved_state,
    replaces_what_happened_before_a_load,
    answers_only_the_picks_of_a_loaded_state,
    refuses_strange_states,
    maps_a_changed_pool_by_id,
    goes_on_when_an_arm_empties,
    starts_moved_arms_afresh,
    changes_nothing_when_it_is_read,
)
"""What ``check_curriculum`` does, one by one."""
