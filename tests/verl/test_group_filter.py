"""verl's own group filtering works behind our buffer, and what it drops is still learned from."""

from __future__ import annotations

import pytest

from tests.verl.conftest import Workspace
from tests.verl.harness import VerlRun


@pytest.fixture(scope="module")
def filtered(workspace: Workspace) -> VerlRun:
    run = workspace.train(
        3,
        "+sparft=uniform",
        "algorithm.filter_groups.enable=True",
        "algorithm.filter_groups.metric=acc",
        # Two rollouts agree often, so that some groups are filtered.
        "actor_rollout_ref.rollout.n=2",
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=8",
        "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=8",
    )
    assert run.returncode == 0, run.output[-4000:]
    return run


def test_filtered_groups_are_refilled(filtered: VerlRun) -> None:
    assert len(filtered.metrics) == 3
    evicted = sum(row.get("training/filter_groups/evicted_samples", 0) for row in filtered.metrics)
    assert evicted > 0
    # Only mixed groups reach the trainer: with two rollouts each of them holds one success.
    assert [row["sparft/reward/outcome"] for row in filtered.metrics] == [0.5] * 3


def test_filtered_groups_are_observed_and_no_pick_is_left_over(filtered: VerlRun) -> None:
    last = filtered.metrics[-1]
    evicted = sum(row.get("training/filter_groups/evicted_samples", 0) for row in filtered.metrics)
    surplus = sum(
        row.get("training/filter_groups/discarded_surplus_samples", 0) for row in filtered.metrics
    )
    assert last["sparft/curriculum/picks"] == 3 * 4 + evicted + surplus
    assert last["sparft/curriculum/expired"] == 0
    assert any(row["sparft/wasted_group_share"] > 0 for row in filtered.metrics)
