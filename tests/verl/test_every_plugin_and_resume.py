"""Every plugin in one run; the same run killed, and resumed on another node, equals it."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sparft_plugin.curriculum import Prompt
from sparft_plugin.curriculum.sparft import SparftCurriculum
from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction import ReductionConfig, reduce
from tests.verl.conftest import Workspace, decisions
from tests.verl.harness import VerlRun, running

STEPS, BATCH, ROLLOUTS = 5, 4, 4
REDUCTION = {"difficulty_key": "extra_info.difficulty", "clusters": 4, "per_cluster": 3}


def arguments(workspace: Workspace) -> list[str]:
    """Every plugin; a checkpoint and the rollouts as verl trained on them after each step."""
    return [
        "+sparft=sparft_memory",
        *(f"sparft.reduction.{option}={value}" for option, value in REDUCTION.items()),
        "+sparft.memory.warmup_steps=1",
        # The likeliest token always: what a prompt is answered depends on the weights alone.
        "actor_rollout_ref.rollout.top_k=1",
        "trainer.test_freq=3",
        "trainer.save_freq=1",
        f"trainer.rollout_data_dir={workspace.folder}/rollouts",
    ]


@dataclass
class Whole:
    """The run that nothing interrupted, and where it was made."""

    workspace: Workspace
    metrics: list[dict[str, Any]]


@dataclass
class Killed:
    """A run that was killed, and where it was made."""

    workspace: Workspace
    saved: int
    """Step of the newest checkpoint that was complete."""
    metrics: list[dict[str, Any]]
    moment: str
    """Step and delay that were drawn, to make a failure again."""


@pytest.fixture(scope="module")
def whole(workspace: Workspace) -> Whole:
    run = workspace.train(STEPS, *arguments(workspace))
    assert run.returncode == 0, run.output[-4000:]
    return Whole(workspace, run.metrics)


@pytest.fixture(scope="module")
def killed(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Killed:
    """Kill a run within two seconds after a checkpoint: in a step, or while the next is saved."""
    step, delay = 2, 0.5
    if os.environ.get("SPARFT_SLOW") == "1":
        step, delay = random.randint(1, STEPS - 2), random.uniform(0, 2)
    folder = tmp_path_factory.mktemp("killed")
    shutil.copytree(template, folder, dirs_exist_ok=True)
    workspace = Workspace(folder)
    with running(folder, STEPS, *arguments(workspace)) as run:
        run.wait_for(lambda: saved_step(folder) >= step)
        time.sleep(delay)
        assert run.process.poll() is None, run.output[-4000:]
    return Killed(workspace, saved_step(folder), run.metrics, f"step {step}, {delay:.3f} s")


@pytest.fixture(scope="module")
def resumed(killed: Killed) -> VerlRun:
    """Resume as on another node: what the first run cached is gone."""
    shutil.rmtree(killed.workspace.folder / "cache")
    run = killed.workspace.train(STEPS, *arguments(killed.workspace))
    assert run.returncode == 0, f"{killed.moment}: {run.output[-4000:]}"
    return run


def saved_step(folder: Path) -> int:
    """Step of the newest complete checkpoint; 0 if there is none."""
    latest = folder / "checkpoints" / "latest_checkpointed_iteration.txt"
    return int(latest.read_text() or 0) if latest.exists() else 0


def test_every_step_reports_picks_rewards_memory_and_time(whole: Whole) -> None:
    assert len(whole.metrics) == STEPS
    for number, row in enumerate(whole.metrics, start=1):
        picks = [v for k, v in row.items() if "/arm_" in k and k.endswith("/picks")]
        assert sum(picks) == number * BATCH
        assert row["sparft/curriculum/unique_prompts"] <= 12
        assert row["sparft/curriculum/expired"] == 0
        assert 0 <= row["sparft/wasted_group_share"] <= 1
        stored = row["sparft/memory/success"] + row["sparft/memory/failure"]
        # Validation, after step 3 and at the end, neither reads the memory nor writes it.
        assert stored == number * BATCH * ROLLOUTS
        parts = [v for k, v in row.items() if k.startswith("sparft/ms/")]
        assert row["sparft/ms/plugin"] + row["sparft/ms/encode_in_workers"] == pytest.approx(
            sum(parts) - row["sparft/ms/plugin"]
        )


def test_the_trainer_sees_outcome_plus_intrinsic_reward(whole: Whole) -> None:
    for row in whole.metrics:
        shaped = row["sparft/reward/outcome"] + row["sparft/reward/intrinsic"]
        assert row["critic/score/mean"] == pytest.approx(shaped, abs=1e-5)
    assert whole.metrics[0]["sparft/reward/intrinsic"] == 0
    assert any(row["sparft/reward/intrinsic"] > 0 for row in whole.metrics[1:])


def test_the_curriculum_learns_from_raw_accuracy(whole: Whole) -> None:
    row = whole.metrics[0]
    rates = {k.split("/")[2]: v for k, v in row.items() if k.endswith("/pass_rate") and "arm" in k}
    assert rates
    for arm, rate in rates.items():
        assert row[f"sparft/curriculum/{arm}/posterior_mean"] == pytest.approx(rate)


def test_validation_scores_are_the_recipes_own(whole: Whole) -> None:
    validated = [[v for k, v in row.items() if k.startswith("val-core/")] for row in whole.metrics]
    assert [bool(scores) for scores in validated] == [False, False, True, False, True]
    assert all(0 <= score <= 1 for scores in validated for score in scores)


def test_the_collapse_watch_is_told_of_every_training_step(whole: Whole) -> None:
    watched = json.loads(whole.workspace.checkpoint(STEPS)["collapse"])["steps"]
    assert [step["accuracy"] for step in watched] == [
        row["sparft/pass_rate"] for row in whole.metrics
    ]
    # The recipe's responses are cut at twelve tokens.
    assert all(0 < step["mean_tokens"] <= 12 for step in watched)
    assert all(step["format_reward"] is None for step in watched)


def test_the_checkpoint_holds_curriculum_and_memory_as_data(whole: Whole) -> None:
    state = whole.workspace.checkpoint(3)
    curriculum = json.loads(state["curriculum"])
    assert curriculum["next_pick_id"] == 3 * BATCH
    assert curriculum["outstanding"] == []
    assert len(curriculum["prompts"]) == 12
    table = PromptTable.from_parquet(whole.workspace.folder / "train.parquet")
    assert set(curriculum["prompts"]) <= set(table.ids)
    assert all(isinstance(part, (str, torch.Tensor)) for part in state["memory"].values())


def test_the_next_picks_are_those_the_saved_state_makes(whole: Whole) -> None:
    """Replay the state of step 3 by hand: the next batch must hold the same arms."""
    state = json.loads(whole.workspace.checkpoint(3)["curriculum"])
    table = PromptTable.from_parquet(
        whole.workspace.folder / "train.parquet", difficulty_key="extra_info.difficulty"
    )
    reduction = reduce(table, ReductionConfig(**REDUCTION))
    arms = dict(zip(reduction.ids, reduction.arms.tolist(), strict=True))
    curriculum = SparftCurriculum().start([Prompt(i, arms[i]) for i in state["prompts"]])
    curriculum.load_state_dict(state)
    expected = np.bincount([pick.prompt.arm for pick in curriculum.select(BATCH)], minlength=4)
    made = [
        whole.metrics[3][f"sparft/curriculum/arm_{arm}/picks"]
        - whole.metrics[2][f"sparft/curriculum/arm_{arm}/picks"]
        for arm in range(4)
    ]
    assert made == expected.tolist()


def test_a_run_resumed_on_another_node_reduces_nothing_anew(
    killed: Killed, resumed: VerlRun
) -> None:
    assert not (killed.workspace.folder / "cache" / "embeddings").exists()
    pools = [json.loads(killed.workspace.checkpoint(n)["pool"]) for n in (killed.saved, STEPS)]
    assert pools[0] == pools[1]
    assert len(pools[0]["ids"]) == 12


def test_the_run_goes_on_from_the_last_complete_checkpoint(
    killed: Killed, resumed: VerlRun
) -> None:
    assert 1 <= killed.saved < STEPS
    assert len(resumed.metrics) == STEPS - killed.saved, killed.moment


def test_every_step_decides_and_trains_as_in_the_uninterrupted_run(
    killed: Killed, resumed: VerlRun, whole: Whole
) -> None:
    rows = dict(enumerate(killed.metrics, start=1))
    rows |= dict(enumerate(resumed.metrics, start=killed.saved + 1))
    for step in range(1, STEPS + 1):
        # verl reports a step after it has saved it.
        if step == killed.saved:
            continue
        told = f"killed at {killed.moment}; step {step}"
        assert decisions(rows[step]) == decisions(whole.metrics[step - 1]), told
        assert killed.workspace.rollouts(step) == whole.workspace.rollouts(step), told


def test_every_checkpoint_holds_the_state_of_the_uninterrupted_run(
    killed: Killed, resumed: VerlRun, whole: Whole
) -> None:
    """The next picks follow from this state alone; the memory's header has its fingerprint."""
    for step in range(1, STEPS + 1):
        state, expected = killed.workspace.saved(step), whole.workspace.saved(step)
        assert json.loads(state.pop("curriculum")) == json.loads(expected.pop("curriculum"))
        assert state == expected, f"killed at {killed.moment}; step {step}"
