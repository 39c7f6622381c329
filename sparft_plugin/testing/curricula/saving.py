"""What is saved: data, a snapshot, and all that a resumed run needs."""

from __future__ import annotations

import copy
from unittest.mock import patch

from sparft_plugin.curriculum import state as states
from sparft_plugin.testing.curricula.subject import LIFE, SEEDS, Subject, play, random_moves
from sparft_plugin.testing.expect import expect, through_json


def saves_json(subject: Subject) -> None:
    """A checkpoint is data that anyone can read."""
    for curriculum in (subject.make(), subject.lived()):
        state = curriculum.state_dict()
        expect(
            through_json(state, subject.name) == state,
            f"the state of {subject.name} is another one when it was written as JSON.",
        )


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


def continues_exactly_from_packed_arrays(subject: Subject) -> None:
    """As the arrays of a large pool are saved."""
    with patch.object(states, "PACKED", 1):
        continues_exactly_from_a_saved_state(subject)


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
