"""Ordered stages: who is in them, when they change, how a batch is filled."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.curriculum.ordered import OrderedCurriculum
from tests.unit.prompt_data import even, group, ids, pool


def started(n=9, **options):
    return OrderedCurriculum(**options).start(even(n))


def observe(curriculum, right, rollouts=4):
    curriculum.observe([group(curriculum.select(1)[0], right, rollouts)])


@given(difficulties=st.lists(st.floats(0, 1), min_size=1, max_size=20), stages=st.integers(1, 6))
def test_stages_are_quantiles_of_difficulty(difficulties, stages):
    curriculum = OrderedCurriculum(stages=stages).start(pool(*difficulties))
    used = min(stages, len(difficulties))
    members = [
        [d for d, s in zip(difficulties, curriculum.stage_of, strict=True) if s == stage]
        for stage in range(used)
    ]
    sizes = [len(part) for part in members]
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1
    assert sorted(difficulties) == [d for part in members for d in sorted(part)]


def test_three_steps_worked_by_hand():
    curriculum = started(stages=3, stage_steps=1)
    assert set(ids(curriculum.select(3))) == {"p00", "p01", "p02"}
    observe(curriculum, 0)
    assert set(ids(curriculum.select(3))) == {"p03", "p04", "p05"}
    observe(curriculum, 0)
    assert set(ids(curriculum.select(3))) == {"p06", "p07", "p08"}
    observe(curriculum, 0)
    assert set(ids(curriculum.select(3))) == {"p06", "p07", "p08"}
    assert curriculum.metrics()["stage"] == 2


def test_a_stage_lasts_for_its_steps():
    curriculum = started(stage_steps=3)
    stages = []
    for _ in range(7):
        observe(curriculum, 4)
        stages.append(curriculum.stage)
    assert stages == [0, 0, 1, 1, 1, 2, 2]


@pytest.mark.parametrize(("planned", "steps"), [(None, 100), (12, 4), (13, 5), (2, 1)])
def test_stages_share_the_run_unless_their_steps_are_given(planned, steps):
    curriculum, given = started(), started(stage_steps=2)
    for one in (curriculum, given):
        one.ledger.planned_steps = planned
        for _ in range(steps - 1):
            observe(one, 4)
    assert (curriculum.stage, given.stage) == (0, min(2, (steps - 1) // 2))
    observe(curriculum, 4)
    assert curriculum.stage == 1


def test_a_stage_ends_when_its_last_groups_are_solved_well_enough():
    curriculum = started(advance="pass_rate", threshold=0.75, window=3)
    for right in (4, 4):
        observe(curriculum, right)
    # Two groups are fewer than the window.
    assert curriculum.stage == 0
    observe(curriculum, 0)
    # (1 + 1 + 0) / 3 is below the threshold.
    assert curriculum.metrics()["stage_pass_rate"] == pytest.approx(2 / 3)
    assert curriculum.stage == 0
    observe(curriculum, 4)
    assert curriculum.stage == 0
    observe(curriculum, 2)
    # (0 + 1 + 0.5) / 3 = 0.5; then (1 + 0.5 + 1) / 3 = 0.83.
    assert curriculum.stage == 0
    observe(curriculum, 4)
    assert curriculum.stage == 1
    assert "stage_pass_rate" not in curriculum.metrics()


def test_late_groups_of_an_earlier_stage_do_not_count():
    curriculum = started(advance="pass_rate", threshold=0.5, window=1)
    late, now = curriculum.select(2)
    curriculum.observe([group(now, 4, 4)])
    assert curriculum.stage == 1
    curriculum.observe([group(late, 4, 4)])
    assert curriculum.stage == 1


def test_a_batch_larger_than_its_stage_takes_the_next_harder_then_the_easier():
    curriculum = started(stages=3)
    curriculum._enter(1)
    assert set(ids(curriculum.select(5))) >= {"p03", "p04", "p05"}
    batch = set(ids(curriculum.select(8)))
    assert batch >= {"p03", "p04", "p05", "p06", "p07", "p08"}


def test_passes_of_other_stages_are_left_out_when_the_difficulties_have_changed():
    old = OrderedCurriculum(stages=2).start(pool(0.1, 0.2, 0.8, 0.9))
    old.select(1)
    curriculum = OrderedCurriculum(stages=2).start(pool(0.9, 0.8, 0.2, 0.1))
    assert curriculum.load_state_dict(old.state_dict()) is None
    for _ in range(4):
        assert set(ids(curriculum.select(2))) == {"p02", "p03"}


def test_another_number_of_stages_begins_its_passes_anew():
    old = OrderedCurriculum(stages=2).start(even(6))
    old.select(1)
    curriculum = OrderedCurriculum(stages=3).start(even(6))
    curriculum.load_state_dict(old.state_dict())
    assert set(ids(curriculum.select(2))) == {"p00", "p01"}
