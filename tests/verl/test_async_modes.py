"""verl's asynchronous modes on a CPU: feedback comes late, and each pick is answered once."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.verl.conftest import Workspace
from tests.verl.harness import SLOW, VerlRun

STEPS, BATCH, ROLLOUTS = 3, 4, 4
COLOCATED = (
    "trainer.v1.trainer_mode=colocate_async",
    "+sparft=sparft_memory",
    "sparft.reduction.clusters=4",
    "sparft.reduction.per_cluster=3",
    "+sparft.memory.warmup_steps=1",
    "trainer.save_freq=2",
)


@pytest.fixture(scope="module")
def first(workspace: Workspace) -> VerlRun:
    run = workspace.train(STEPS, *COLOCATED)
    assert run.returncode == 0, run.output[-4000:]
    return run


@pytest.fixture(scope="module")
def resumed(workspace: Workspace, first: VerlRun) -> VerlRun:
    """Two steps more, from a checkpoint with picks in flight."""
    run = workspace.train(STEPS + 2, *COLOCATED)
    assert run.returncode == 0, run.output[-4000:]
    return run


def outstanding(workspace: Workspace, step: int) -> set[int]:
    """Picks in flight at the checkpoint of a step."""
    return {pick for pick, _ in json.loads(workspace.checkpoint(step)["curriculum"])["outstanding"]}


def check_the_books(row: dict[str, Any], step: int) -> None:
    """Each step trains one batch; a batch more than that has been drawn ahead."""
    book = {name: row[f"sparft/curriculum/{name}"] for name in ("picks", "observed", "outstanding")}
    assert book == {"picks": (step + 1) * BATCH, "observed": step * BATCH, "outstanding": BATCH}
    assert row["sparft/curriculum/expired"] == 0
    for name in ("late", "evicted", "incomplete"):
        assert row[f"sparft/feedback/{name}"] == 0
    stored = row["sparft/memory/success"] + row["sparft/memory/failure"]
    assert stored == step * BATCH * ROLLOUTS


def test_every_group_trained_on_answers_its_pick_and_none_expires(first: VerlRun) -> None:
    assert len(first.metrics) == STEPS
    for step, row in enumerate(first.metrics, start=1):
        check_the_books(row, step)


def test_picks_in_flight_are_in_the_checkpoint(workspace: Workspace, first: VerlRun) -> None:
    assert len(outstanding(workspace, STEPS)) == BATCH


def test_rollouts_of_older_weights_were_among_them(first: VerlRun) -> None:
    stale = [row["training/off_policy/trajectory_staleness_worst/max"] for row in first.metrics]
    assert max(stale) > 0


def test_the_trainer_sees_outcome_plus_intrinsic_reward(first: VerlRun) -> None:
    for row in first.metrics:
        shaped = row["sparft/reward/outcome"] + row["sparft/reward/intrinsic"]
        assert row["critic/score/mean"] == pytest.approx(shaped, abs=1e-5)
    assert any(row["sparft/reward/intrinsic"] > 0 for row in first.metrics[1:])


@SLOW
def test_picks_in_flight_are_answered_after_a_resume(
    workspace: Workspace, first: VerlRun, resumed: VerlRun
) -> None:
    answered = outstanding(workspace, STEPS)
    assert len(resumed.metrics) == 2
    for step, row in enumerate(resumed.metrics, start=STEPS + 1):
        check_the_books(row, step)
    assert not answered & outstanding(workspace, STEPS + 2)


@pytest.fixture(scope="module")
def separate(workspace: Workspace) -> VerlRun:
    """Trainer and rollout on logical devices of their own, weights through a file."""
    rollout = "actor_rollout_ref.rollout"
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        run = workspace.train(
            STEPS,
            "+sparft=sparft_memory",
            "sparft.reduction.clusters=4",
            "sparft.reduction.per_cluster=3",
            "+sparft.memory.warmup_steps=1",
            "trainer.v1.trainer_mode=separate_async",
            "trainer.v1.separate_async.parameter_sync_step=1",
            "trainer.resume_mode=disable",
            "ray_kwargs.ray_init.num_gpus=2",
            f"{rollout}.nnodes=1",
            f"{rollout}.n_gpus_per_node=1",
            f"{rollout}.checkpoint_engine.backend=file",
            f"{rollout}.checkpoint_engine.custom_backend_module=file_weights",
            f"+{rollout}.checkpoint_engine.engine_kwargs.file.folder={workspace.folder}/weights",
        )
    assert run.returncode == 0, run.output[-4000:]
    return run


@SLOW
def test_the_books_hold_where_trainer_and_rollout_are_separate(separate: VerlRun) -> None:
    assert len(separate.metrics) == STEPS
    for step, row in enumerate(separate.metrics, start=1):
        check_the_books(row, step)
