"""SIGKILL to a reward worker: groups that lost a rollout are no evidence, and too many end the run.

verl starts no other worker: what it sends to the dead one comes back without a reward, and it
trains on the rest.
"""

from __future__ import annotations

import pytest

from tests.verl.conftest import Workspace
from tests.verl.harness import TIMEOUT, Running, running

BATCH, ROLLOUTS = 4, 4


@pytest.fixture(scope="module")
def bereft(workspace: Workspace) -> Running:
    """A run that loses one of its two reward workers after the first step."""
    (workspace.folder / "reward.py").write_text(
        "def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):\n"
        "    return 1.0 if len(solution_str.encode()) % 2 == 0 else -1.0\n"
    )
    with running(
        workspace.folder,
        9,
        "+sparft=memory_r_plus",
        "sparft.accuracy='score>0'",
        # 8 groups of 20 steps of 4.
        "sparft.max_incomplete=0.1",
        "reward.num_workers=2",
        "trainer.v1.sampler.sync_refill_failed_groups=True",
    ) as run:
        run.wait_for(lambda: run.metrics)
        run.kill("RewardLoopWorker")
        run.process.wait(timeout=TIMEOUT)
    return run


def test_lost_rollouts_are_warned_of_and_end_the_run_where_they_are_many(bereft: Running) -> None:
    assert "ActorDiedError" in bereft.output
    assert "lost a rollout to a dead worker, a failed agent or a reward of None" in bereft.output
    assert bereft.process.returncode != 0
    assert "more than sparft.max_incomplete=0.1 of 20 steps" in bereft.output
    assert len(bereft.metrics) < 9


def test_only_groups_that_are_whole_are_remembered(bereft: Running) -> None:
    rows = bereft.metrics
    assert rows[0]["sparft/feedback/incomplete"] == 0
    assert sum(row["sparft/feedback/incomplete"] for row in rows) > 0
    remembered = 0
    for row in rows:
        whole = BATCH - row["sparft/feedback/incomplete"]
        # verl evicts and replaces groups of which nothing is left; they are counted too.
        whole += row.get("training/rollout_failure/evicted_samples", 0)
        remembered += ROLLOUTS * whole
        assert ("sparft/pass_rate" in row) == (whole > 0)
        if whole:
            held = row["sparft/memory/success"] + row["sparft/memory/failure"]
            assert held == remembered


def test_pass_rates_follow_the_recipes_rule(bereft: Running) -> None:
    first = bereft.metrics[0]
    assert first["sparft/reward/outcome"] == pytest.approx(2 * first["sparft/pass_rate"] - 1)
