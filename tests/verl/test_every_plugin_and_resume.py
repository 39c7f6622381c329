"""One real run through every plugin, a checkpoint, and its resumption."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from sparft_plugin.curriculum import Prompt
from sparft_plugin.curriculum.sparft import SparftCurriculum
from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction import ReductionConfig, reduce
from tests.verl.conftest import EVERY_PLUGIN, REDUCTION, Uninterrupted, Workspace, decisions
from tests.verl.harness import VerlRun

BATCH, ROLLOUTS = 4, 4
PLUGINS = (*EVERY_PLUGIN, "trainer.save_freq=3")


@pytest.fixture(scope="module")
def first(workspace: Workspace) -> VerlRun:
    run = workspace.train(3, *PLUGINS)
    assert run.returncode == 0, run.output[-4000:]
    return run


@pytest.fixture(scope="module")
def resumed(workspace: Workspace, first: VerlRun) -> VerlRun:
    """Resume as on another node: what the first run cached is gone."""
    shutil.rmtree(workspace.folder / "cache")
    run = workspace.train(5, *PLUGINS)
    assert run.returncode == 0, run.output[-4000:]
    return run


def test_every_step_reports_picks_rewards_memory_and_time(first: VerlRun) -> None:
    assert len(first.metrics) == 3
    for number, row in enumerate(first.metrics, start=1):
        picks = [v for k, v in row.items() if "/arm_" in k and k.endswith("/picks")]
        assert sum(picks) == number * BATCH
        assert row["sparft/curriculum/unique_prompts"] <= 12
        assert row["sparft/curriculum/expired"] == 0
        assert 0 <= row["sparft/wasted_group_share"] <= 1
        stored = row["sparft/memory/success"] + row["sparft/memory/failure"]
        assert stored == number * BATCH * ROLLOUTS
        parts = [v for k, v in row.items() if k.startswith("sparft/ms/")]
        assert row["sparft/ms/plugin"] + row["sparft/ms/encode_in_workers"] == pytest.approx(
            sum(parts) - row["sparft/ms/plugin"]
        )


def test_the_trainer_sees_outcome_plus_intrinsic_reward(first: VerlRun) -> None:
    for row in first.metrics:
        shaped = row["sparft/reward/outcome"] + row["sparft/reward/intrinsic"]
        assert row["critic/score/mean"] == pytest.approx(shaped, abs=1e-5)
    assert first.metrics[0]["sparft/reward/intrinsic"] == 0
    assert any(row["sparft/reward/intrinsic"] > 0 for row in first.metrics[1:])


def test_the_curriculum_learns_from_raw_accuracy(first: VerlRun) -> None:
    row = first.metrics[0]
    rates = {k.split("/")[2]: v for k, v in row.items() if k.endswith("/pass_rate") and "arm" in k}
    assert rates
    for arm, rate in rates.items():
        assert row[f"sparft/curriculum/{arm}/posterior_mean"] == pytest.approx(rate)


def test_validation_scores_are_the_recipes_own(first: VerlRun) -> None:
    validation = {k: v for k, v in first.metrics[-1].items() if k.startswith("val-core/")}
    assert validation
    assert all(0 <= v <= 1 for v in validation.values())


def test_validation_rollouts_are_not_remembered(first: VerlRun) -> None:
    row = first.metrics[-1]
    assert row["sparft/memory/success"] + row["sparft/memory/failure"] == 3 * BATCH * ROLLOUTS


def test_the_checkpoint_holds_curriculum_and_memory_as_data(
    workspace: Workspace, first: VerlRun
) -> None:
    state = workspace.checkpoint(3)
    curriculum = json.loads(state["curriculum"])
    assert curriculum["next_pick_id"] == 3 * BATCH
    assert curriculum["outstanding"] == []
    assert len(curriculum["prompts"]) == 12
    table = PromptTable.from_parquet(workspace.folder / "train.parquet")
    assert set(curriculum["prompts"]) <= set(table.ids)
    assert all(isinstance(part, (str, torch.Tensor)) for part in state["memory"].values())


def test_a_run_resumed_on_another_node_reduces_nothing_anew(
    workspace: Workspace, resumed: VerlRun
) -> None:
    assert not (workspace.folder / "cache" / "embeddings").exists()
    pools = [json.loads(workspace.checkpoint(step)["pool"]) for step in (3, 5)]
    assert pools[0] == pools[1]
    assert len(pools[0]["ids"]) == 12


def test_a_resumed_run_goes_on_where_the_checkpoint_stood(
    workspace: Workspace, first: VerlRun, resumed: VerlRun
) -> None:
    assert len(resumed.metrics) == 2
    last, next_row = first.metrics[-1], resumed.metrics[0]
    assert next_row["sparft/curriculum/picks"] == last["sparft/curriculum/picks"] + BATCH
    for store in ("success", "failure"):
        assert next_row[f"sparft/memory/{store}"] >= last[f"sparft/memory/{store}"]
    stored = sum(next_row[f"sparft/memory/{store}"] for store in ("success", "failure"))
    assert stored == 4 * BATCH * ROLLOUTS
    # An arm that was not picked in the step keeps the posterior of the checkpoint.
    for arm in range(4):
        if f"sparft/curriculum/arm_{arm}/pass_rate" not in next_row:
            key = f"sparft/curriculum/arm_{arm}/posterior_mean"
            assert next_row[key] == last[key]


def test_the_resumed_picks_are_those_the_saved_state_would_make(
    workspace: Workspace, first: VerlRun, resumed: VerlRun
) -> None:
    """Replay the saved state by hand: the first resumed batch must hold the same arms."""
    state = json.loads(workspace.checkpoint(3)["curriculum"])
    table = PromptTable.from_parquet(
        workspace.folder / "train.parquet", difficulty_key="extra_info.difficulty"
    )
    reduction = reduce(table, ReductionConfig(**REDUCTION))
    arms = dict(zip(reduction.ids, reduction.arms.tolist(), strict=True))
    curriculum = SparftCurriculum().start([Prompt(i, arms[i]) for i in state["prompts"]])
    curriculum.load_state_dict(state)
    expected = np.bincount([pick.prompt.arm for pick in curriculum.select(BATCH)], minlength=4)
    made = [
        resumed.metrics[0][f"sparft/curriculum/arm_{arm}/picks"]
        - first.metrics[-1][f"sparft/curriculum/arm_{arm}/picks"]
        for arm in range(4)
    ]
    assert made == expected.tolist()


def test_a_resumed_run_equals_the_uninterrupted_one(
    workspace: Workspace, first: VerlRun, resumed: VerlRun, uninterrupted: Uninterrupted
) -> None:
    in_two = [*first.metrics, *resumed.metrics]
    for step, (row, whole) in enumerate(
        zip(in_two, uninterrupted.run.metrics, strict=True), start=1
    ):
        assert decisions(row) == decisions(whole), f"step {step}"
    assert workspace.saved(5) == uninterrupted.workspace.saved(5)
