"""A run that is killed at some moment, and resumed, equals the uninterrupted one."""

from __future__ import annotations

import json
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.verl.conftest import EVERY_PLUGIN, Uninterrupted, Workspace, decisions, every_step
from tests.verl.harness import VerlRun, running

STEPS = 5


@dataclass
class Killed:
    """What is left of a run that was killed."""

    saved: int
    """Step of the newest checkpoint that was complete."""
    metrics: list[dict[str, Any]]
    moment: str
    """Step and delay that were drawn, to make a failure again."""


@pytest.fixture(scope="module")
def killed(workspace: Workspace) -> Killed:
    """Kill a run within two seconds after a checkpoint: in a step, or while the next is saved."""
    step, delay = 2, 0.5
    if os.environ.get("SPARFT_SLOW") == "1":
        step, delay = random.randint(1, STEPS - 2), random.uniform(0, 2)
    with running(workspace.folder, STEPS, *EVERY_PLUGIN, *every_step(workspace.folder)) as run:
        run.wait_for(lambda: saved_step(workspace.folder) >= step)
        time.sleep(delay)
        assert run.process.poll() is None, run.output[-4000:]
    return Killed(saved_step(workspace.folder), run.metrics, f"step {step}, {delay:.3f} s")


def saved_step(folder: Path) -> int:
    """Step of the newest complete checkpoint; 0 if there is none."""
    latest = folder / "checkpoints" / "latest_checkpointed_iteration.txt"
    return int(latest.read_text() or 0) if latest.exists() else 0


@pytest.fixture(scope="module")
def resumed(workspace: Workspace, killed: Killed) -> VerlRun:
    run = workspace.train(STEPS, *EVERY_PLUGIN, *every_step(workspace.folder))
    assert run.returncode == 0, f"{killed.moment}: {run.output[-4000:]}"
    return run


def test_the_run_goes_on_from_the_last_complete_checkpoint(
    killed: Killed, resumed: VerlRun
) -> None:
    assert 1 <= killed.saved < STEPS
    assert len(resumed.metrics) == STEPS - killed.saved, killed.moment


def steps_told_of(killed: Killed) -> list[int]:
    """All but the step of the checkpoint: verl reports a step after it has saved it."""
    return [step for step in range(1, STEPS + 1) if step != killed.saved]


def test_every_step_makes_the_decisions_of_the_uninterrupted_run(
    killed: Killed, resumed: VerlRun, uninterrupted: Uninterrupted
) -> None:
    rows = dict(enumerate(killed.metrics, start=1))
    rows |= dict(enumerate(resumed.metrics, start=killed.saved + 1))
    for step in steps_told_of(killed):
        expected = decisions(uninterrupted.run.metrics[step - 1])
        assert decisions(rows[step]) == expected, f"killed at {killed.moment}; step {step}"


def test_every_step_trains_on_the_rollouts_of_the_uninterrupted_run(
    workspace: Workspace, killed: Killed, resumed: VerlRun, uninterrupted: Uninterrupted
) -> None:
    ours, whole = workspace.folder / "rollouts", uninterrupted.workspace.folder / "rollouts"
    for step in steps_told_of(killed):
        assert rollouts(ours, step) == rollouts(whole, step), f"{killed.moment}; step {step}"


def rollouts(folder: Path, step: int) -> list[tuple[str, str]]:
    """Prompts and answers of a step; they come in the order in which they were finished."""
    rows = [json.loads(line) for line in (folder / f"{step}.jsonl").read_text().splitlines()]
    return sorted((row["input"], row["output"]) for row in rows)


def test_every_checkpoint_holds_the_state_of_the_uninterrupted_run(
    workspace: Workspace, killed: Killed, resumed: VerlRun, uninterrupted: Uninterrupted
) -> None:
    """The next picks follow from this state alone; the memory's header has its fingerprint."""
    for step in range(1, STEPS + 1):
        state, whole = workspace.checkpoint(step), uninterrupted.workspace.checkpoint(step)
        curriculum, expected = json.loads(state["curriculum"]), json.loads(whole["curriculum"])
        for key in expected:
            assert curriculum[key] == expected[key], f"{killed.moment}; step {step}: {key}"
        assert state["memory"]["header"] == whole["memory"]["header"], (
            f"{killed.moment}; step {step}"
        )
