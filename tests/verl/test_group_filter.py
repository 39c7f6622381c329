"""Group filters, ours and verl's own: what they reject is refilled and learned from."""

from __future__ import annotations

import pytest

from tests.verl.conftest import Workspace
from tests.verl.harness import SLOW, VerlRun

STEPS, BATCH, ROLLOUTS = 3, 4, 2
# Two rollouts agree often, so that some groups are rejected.
PAIRS = (
    f"actor_rollout_ref.rollout.n={ROLLOUTS}",
    "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=8",
    "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=8",
)


@pytest.fixture(scope="module")
def by_ours(workspace: Workspace) -> VerlRun:
    run = workspace.train(
        STEPS,
        "+sparft=sparft_memory",
        "sparft.reduction.clusters=3",
        "sparft.reduction.per_cluster=5",
        "sparft.group_filter.name=mixed_only",
        "sparft.curriculum.share_floor=0.1",
        "sparft.curriculum.retest=2",
        *PAIRS,
    )
    assert run.returncode == 0, run.output[-4000:]
    return run


SELF_SCORING = """
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

class SelfScoring(SingleTurnAgentLoop):
    async def run(self, sampling_params, **kwargs):
        output = await super().run(sampling_params, **kwargs)
        output.reward_score = 1.0 if len(output.response_ids) % 2 else -1.0
        output.extra_fields["reward_extra_info"] = {}
        return output
"""


@pytest.fixture(scope="module")
def by_verls(workspace: Workspace) -> VerlRun:
    """An agent loop that scores itself on a scale of its own, under verl's filter."""
    (workspace.folder / "scoring.py").write_text(SELF_SCORING)
    loops = workspace.folder / "loops.yaml"
    loops.write_text("- name: self_scoring\n  _target_: scoring.SelfScoring\n")
    run = workspace.train(
        STEPS,
        "+sparft=uniform",
        "sparft.accuracy='score>0'",
        f"actor_rollout_ref.rollout.agent.agent_loop_config_path={loops}",
        "actor_rollout_ref.rollout.agent.default_agent_loop=self_scoring",
        "algorithm.filter_groups.enable=True",
        "algorithm.filter_groups.metric=reward",
        *PAIRS,
    )
    assert run.returncode == 0, run.output[-4000:]
    return run


def total(run: VerlRun, key: str) -> float:
    return sum(row.get(key, 0) for row in run.metrics)


def test_rejected_groups_are_refilled(by_ours: VerlRun) -> None:
    assert len(by_ours.metrics) == STEPS
    rejected = total(by_ours, "sparft/group_filter/rejected")
    assert rejected > 0
    assert rejected == total(by_ours, "training/filter_groups/evicted_samples")
    # Only mixed groups reach the trainer: with two rollouts each of them holds one success.
    assert [row["sparft/reward/outcome"] for row in by_ours.metrics] == [0.5] * STEPS


def test_rejected_groups_are_observed_and_no_pick_is_left_over(by_ours: VerlRun) -> None:
    last = by_ours.metrics[-1]
    surplus = total(by_ours, "training/filter_groups/discarded_surplus_samples")
    rejected = total(by_ours, "sparft/group_filter/rejected")
    assert last["sparft/curriculum/picks"] == STEPS * BATCH + rejected + surplus
    assert last["sparft/curriculum/observed"] == last["sparft/curriculum/picks"]
    assert last["sparft/curriculum/expired"] == 0
    assert any(row["sparft/wasted_group_share"] > 0 for row in by_ours.metrics)


def test_the_memory_holds_the_rollouts_of_rejected_groups_too(by_ours: VerlRun) -> None:
    last = by_ours.metrics[-1]
    stored = last["sparft/memory/success"] + last["sparft/memory/failure"]
    assert stored == ROLLOUTS * last["sparft/curriculum/picks"]


def test_the_wrappers_of_the_curriculum_count_in_the_same_run(by_ours: VerlRun) -> None:
    last = by_ours.metrics[-1]
    for name in ("share_floor/forced", "share_floor/debt", "retest/retired", "retest/retests"):
        assert last[f"sparft/curriculum/{name}"] >= 0


@SLOW
def test_groups_that_verls_filter_rejects_are_refilled_and_learned_from(by_verls: VerlRun) -> None:
    assert len(by_verls.metrics) == STEPS
    evicted = total(by_verls, "training/filter_groups/evicted_samples")
    surplus = total(by_verls, "training/filter_groups/discarded_surplus_samples")
    assert evicted > 0
    last = by_verls.metrics[-1]
    assert last["sparft/curriculum/picks"] == STEPS * BATCH + evicted + surplus
    assert last["sparft/curriculum/expired"] == 0
    assert any(row["sparft/wasted_group_share"] > 0 for row in by_verls.metrics)


@SLOW
def test_an_agent_loop_that_scores_itself_trains_with_its_own_scale(by_verls: VerlRun) -> None:
    for row in by_verls.metrics:
        # Only mixed groups reach the trainer: each holds a score of 1 and one of -1.
        assert row["sparft/reward/outcome"] == row["critic/score/mean"] == 0
        # Accuracies of all groups are 1 and 0.
        assert 0 < row["sparft/pass_rate"] < 1
