"""States of another key, method or pool."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from sparft_plugin.testing.curricula.subject import NEW_PROMPTS, PROMPTS, Subject, outcome
from sparft_plugin.testing.expect import expect, expect_refusal, through_json

PARTS = ("inner", "by_arm", "by_prompt", "rule")


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


def goes_on_when_an_arm_empties(subject: Subject) -> None:
    """Filtered data may lack all prompts of an arm, the last one too; they may come back."""
    name = subject.name
    state = through_json(subject.lived().state_dict(), name)
    for emptied in (1, 3):
        left = [prompt for prompt in PROMPTS if prompt.arm != emptied]
        for prompts in (left, PROMPTS):
            curriculum = subject.make(prompts=prompts)
            curriculum.load_state_dict(state)
            got = [pick.prompt for pick in curriculum.select(len(prompts))]
            expect(
                set(got) == set(prompts),
                f"{name} must pick all of {len(prompts)} prompts in a batch of as many, after arm "
                f"{emptied} lost its prompts or got them back; it picked {got}.",
            )
            curriculum.observe([outcome(curriculum.pick(k)) for k in curriculum.outstanding])
            state = through_json(curriculum.state_dict(), name)


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
