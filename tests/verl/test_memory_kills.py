"""SIGKILL to a reward worker, to the memory actor, and to the driver before its checkpoint."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.verl.conftest import EVERY_PLUGIN, Uninterrupted, Workspace, decisions, every_step
from tests.verl.harness import VerlRun, environment, overrides
from tests.verl.test_kill_and_resume import kill_all, rollouts, saved_step

STEPS, BATCH, ROLLOUTS = 5, 4, 4


@dataclass
class Running:
    """A verl run in the background."""

    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def output(self) -> str:
        return (self.folder / "run.log").read_text(errors="replace")

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """Rows of the steps that were logged so far."""
        path = self.folder / "metrics.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line)["data"] for line in lines]

    def wait_for(self, happened: Callable[[], object]) -> None:
        """Wait until something has happened in the run, which must not end before."""
        end = time.monotonic() + 400
        while not happened():
            assert self.process.poll() is None, self.output[-4000:]
            assert time.monotonic() < end, self.output[-4000:]
            time.sleep(0.02)

    def kill(self, actor: str) -> None:
        """SIGKILL one process of a Ray actor class."""
        started = psutil.Process(self.process.pid).children(recursive=True)
        found = [child for child in started if f"ray::{actor}" in " ".join(child.cmdline())]
        found[0].kill()


@contextmanager
def running(folder: Path, *extra: str) -> Iterator[Running]:
    """Start a run, and kill what is left of it in the end."""
    (folder / "metrics.jsonl").unlink(missing_ok=True)
    with (folder / "run.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "verl.trainer.main_ppo", *overrides(folder, STEPS), *extra],
            cwd=folder,
            env=environment(folder),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Running(folder, process)
    finally:
        kill_all(process)


# A reward worker


@pytest.fixture(scope="module")
def bereft(workspace: Workspace) -> Running:
    """A run that loses one of its two reward workers after the first step."""
    with running(
        workspace.folder,
        "+sparft=memory_r_plus",
        "reward.num_workers=2",
        "trainer.v1.sampler.sync_refill_failed_groups=True",
    ) as run:
        run.wait_for(lambda: run.metrics)
        run.kill("RewardLoopWorker")
        run.wait_for(lambda: len(run.metrics) == STEPS)
    return run


def stored(row: dict[str, Any]) -> float:
    return float(row["sparft/memory/success"] + row["sparft/memory/failure"])


def test_a_lost_reward_worker_costs_rollouts_and_not_the_run(bereft: Running) -> None:
    """verl starts no other: what it sends to the dead one comes back without a reward."""
    rows = bereft.metrics
    assert len(rows) == STEPS
    assert "ActorDiedError" in bereft.output
    assert rows[0]["sparft/feedback/incomplete"] == 0
    assert sum(row["sparft/feedback/incomplete"] for row in rows[1:]) > 0


def test_the_memory_keeps_the_rollouts_that_were_rewarded_and_no_other(bereft: Running) -> None:
    held = [stored(row) for row in bereft.metrics]
    grown = [after - before for before, after in zip(held, held[1:], strict=False)]
    assert held[0] == BATCH * ROLLOUTS
    assert all(0 < more <= BATCH * ROLLOUTS for more in grown)
    assert sum(grown) < (STEPS - 1) * BATCH * ROLLOUTS
    for row in bereft.metrics:
        assert 0 <= row["sparft/reward/outcome"] <= 1


# The memory actor, and the driver between the memory's write and the checkpoint

SAVED, WRITTEN = 2, 3


def shared(folder: Path) -> list[str]:
    """Every plugin, its memory in an actor; a checkpoint after every second step."""
    *_, dumps = every_step(folder)
    return [*EVERY_PLUGIN, "sparft.memory.scope=actor", f"trainer.save_freq={SAVED}", dumps]


def journal_of(folder: Path, step: int) -> list[Path]:
    """Where the actor wrote a step since its last snapshot."""
    return list(folder.glob(f"checkpoints/sparft_memory/memory/step-*-{step:09d}.npz"))


@dataclass
class Killed:
    """What is left of a run that lost its memory actor after a step, and then was killed."""

    metrics: list[dict[str, Any]]
    output: str
    saved: int
    written: list[Path]


@pytest.fixture(scope="module")
def killed(workspace: Workspace) -> Killed:
    folder = workspace.folder
    with running(folder, *shared(folder)) as run:
        run.wait_for(lambda: journal_of(folder, 1))
        run.kill("MemoryServer")
        run.wait_for(lambda: journal_of(folder, WRITTEN))
    return Killed(run.metrics, run.output, saved_step(folder), journal_of(folder, WRITTEN))


@pytest.fixture(scope="module")
def resumed(workspace: Workspace, killed: Killed) -> VerlRun:
    run = workspace.train(STEPS, *shared(workspace.folder))
    assert run.returncode == 0, run.output[-4000:]
    return run


def without_counters(row: dict[str, Any]) -> dict[str, Any]:
    """What the plugin decided and was told; only an actor counts its deaths."""
    counters = ("sparft/memory/restarts", "sparft/memory/lost_steps")
    return {key: value for key, value in decisions(row).items() if key not in counters}


def test_a_killed_memory_actor_comes_back_and_the_run_goes_on(killed: Killed) -> None:
    assert len(killed.metrics) == SAVED
    last = killed.metrics[-1]
    assert (last["sparft/memory/restarts"], last["sparft/memory/lost_steps"]) == (1, 0)
    assert "it is back with 1 steps, 0 are lost." in killed.output
    assert stored(last) == SAVED * BATCH * ROLLOUTS


def test_what_was_written_after_the_checkpoint_is_not_there_twice(
    killed: Killed, resumed: VerlRun
) -> None:
    assert killed.saved == SAVED
    assert killed.written
    assert len(resumed.metrics) == STEPS - SAVED
    held = [stored(row) for row in resumed.metrics]
    assert held == [step * BATCH * ROLLOUTS for step in range(WRITTEN, STEPS + 1)]


def test_killed_twice_and_resumed_the_run_equals_an_uninterrupted_one(
    workspace: Workspace, killed: Killed, resumed: VerlRun, uninterrupted: Uninterrupted
) -> None:
    """The uninterrupted run has its memory in the driver, so the scopes are compared as well."""
    # verl reports a step after it has saved it, so the row of the checkpoint may be missing.
    ours = dict(enumerate(killed.metrics, start=1))
    ours |= dict(enumerate(resumed.metrics, start=SAVED + 1))
    assert sorted(ours) == list(range(1, STEPS + 1))
    for step, row in ours.items():
        expected = uninterrupted.run.metrics[step - 1]
        assert without_counters(row) == decisions(expected), f"step {step}"
        folders = (workspace.folder, uninterrupted.workspace.folder)
        dumped = [rollouts(folder / "rollouts", step) for folder in folders]
        assert dumped[0] == dumped[1], f"step {step}"
    for step in (4, 5):
        state, whole = workspace.checkpoint(step), uninterrupted.workspace.checkpoint(step)
        assert state["memory"] == whole["memory"], f"step {step}"
