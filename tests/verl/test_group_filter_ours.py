"""Our group filter: verl refills what it rejects, and what it rejects is learned from."""

from __future__ import annotations

import pytest

from tests.verl.conftest import Workspace
from tests.verl.harness import VerlRun

STEPS, BATCH, ROLLOUTS = 3, 4, 2


@pytest.fixture(scope="module")
def filtered(workspace: Workspace) -> VerlRun:
    run = workspace.train(
        STEPS,
        "+sparft=sparft_memory",
        "sparft.reduction.clusters=3",
        "sparft.reduction.per_cluster=5",
        "sparft.group_filter.name=mixed_only",
        "sparft.curriculum.share_floor=0.1",
        "sparft.curriculum.retest=2",
        # Two rollouts agree often, so that some groups are rejected.
        f"actor_rollout_ref.rollout.n={ROLLOUTS}",
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=8",
        "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=8",
    )
    assert run.returncode == 0, run.output[-4000:]
    return run


def total(run: VerlRun, key: str) -> float:
    return sum(row.get(key, 0) for row in run.metrics)


def test_rejected_groups_are_refilled(filtered: VerlRun) -> None:
    assert len(filtered.metrics) == STEPS
    rejected = total(filtered, "sparft/group_filter/rejected")
    assert rejected > 0
    assert rejected == total(filtered, "training/filter_groups/evicted_samples")
    # Only mixed groups reach the trainer: with two rollouts each of them holds one success.
    assert [row["sparft/reward/outcome"] for row in filtered.metrics] == [0.5] * STEPS


def test_rejected_groups_are_observed_and_no_pick_is_left_over(filtered: VerlRun) -> None:
    last = filtered.metrics[-1]
    surplus = total(filtered, "training/filter_groups/discarded_surplus_samples")
    rejected = total(filtered, "sparft/group_filter/rejected")
    assert last["sparft/curriculum/picks"] == STEPS * BATCH + rejected + surplus
    assert last["sparft/curriculum/observed"] == last["sparft/curriculum/picks"]
    assert last["sparft/curriculum/expired"] == 0
    assert any(row["sparft/wasted_group_share"] > 0 for row in filtered.metrics)


def test_the_memory_holds_the_rollouts_of_rejected_groups_too(filtered: VerlRun) -> None:
    last = filtered.metrics[-1]
    stored = last["sparft/memory/success"] + last["sparft/memory/failure"]
    assert stored == ROLLOUTS * last["sparft/curriculum/picks"]


def test_the_wrappers_of_the_curriculum_count_in_the_same_run(filtered: VerlRun) -> None:
    last = filtered.metrics[-1]
    for name in ("share_floor/forced", "share_floor/debt", "retest/retired", "retest/retests"):
        assert last[f"sparft/curriculum/{name}"] >= 0
