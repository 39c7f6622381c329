"""SIGKILL to a reward worker."""

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

from tests.verl.conftest import Workspace
from tests.verl.harness import environment, overrides
from tests.verl.test_kill_and_resume import kill_all

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
