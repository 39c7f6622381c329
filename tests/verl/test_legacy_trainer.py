"""verl's legacy trainer on a CPU: verl 0.9 with ``trainer.use_v1=False``, and verl 0.7 and 0.8.

``make test`` runs this on 0.9, ``make test-verl-versions`` on the older versions.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tests.verl.conftest import Workspace, decisions
from tests.verl.harness import SLOW, VerlRun

REWARD = """
import zlib

def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    correct = float(zlib.crc32((solution_str + ground_truth).encode()) % 2)
    return {"score": correct, "acc": correct}
"""
VERL = tuple(int(part) for part in metadata.version("verl").split(".")[:2])
STEPS, BATCH, ROLLOUTS, EPOCH = 4, 4, 4, 2
LEGACY = [
    "+sparft=sparft_memory",
    "sparft.reduction.difficulty_key=extra_info.difficulty",
    "sparft.reduction.clusters=3",
    "sparft.reduction.per_cluster=2",
    "+sparft.memory.warmup_steps=1",
    # Two steps an epoch, so that a checkpoint ends one.
    f"data.train_max_samples={EPOCH * BATCH}",
    # The likeliest token always: what a prompt is answered depends on the weights alone.
    "actor_rollout_ref.rollout.top_k=1",
    "trainer.save_freq=1",
    "trainer.test_freq=4",
    "data.val_max_samples=6",
]
if VERL >= (0, 9):
    LEGACY.append("trainer.use_v1=False")
else:
    # What 0.9 learns from an entry point; and FSDP's wrap policy, which 0.7 cannot infer.
    os.environ["VERL_USE_EXTERNAL_MODULES"] = "verl_cpu.plugin"
    policy = "actor_rollout_ref.actor.fsdp_config.wrap_policy.transformer_layer_cls_to_wrap"
    LEGACY.append(f"+{policy}=[Qwen2DecoderLayer]")

MINUTES = [SLOW] if VERL >= (0, 9) else []


@dataclass
class Resumed:
    """A resumed run, and where it was made."""

    workspace: Workspace
    run: VerlRun


def train(workspace: Workspace, steps: int, *extra: str) -> VerlRun:
    """Train, and name the metrics as the v1 trainer does."""
    rollouts = f"trainer.rollout_data_dir={workspace.folder}/rollouts"
    # Validation on the training file, as in a run that is to overfit.
    validation = f"data.val_files={workspace.folder}/train.parquet"
    run = workspace.train(steps, *LEGACY, rollouts, validation, *extra)
    assert run.returncode == 0, run.output[-4000:]
    rows = [{key.removeprefix("timing_s/"): row[key] for key in row} for row in run.metrics]
    return VerlRun(run.returncode, run.output, rows)


@pytest.fixture(scope="module")
def whole(workspace: Workspace) -> VerlRun:
    """Return a run of two epochs in one go, with a checkpoint after each step."""
    (workspace.folder / "reward.py").write_text(REWARD)
    return train(workspace, STEPS)


def resumed_from(step: int, steps: int, workspace: Workspace, folder: Path) -> Resumed:
    """Resume a copy of the run from one of its checkpoints, in another folder."""
    for name in ("model", "train.parquet", "val.parquet", "reward.py", "cache"):
        source = workspace.folder / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    checkpoint = f"global_step_{step}"
    shutil.copytree(
        workspace.folder / "checkpoints" / checkpoint, folder / "checkpoints" / checkpoint
    )
    (folder / "checkpoints/latest_checkpointed_iteration.txt").write_text(str(step))
    return Resumed(Workspace(folder), train(Workspace(folder), steps))


@pytest.fixture(scope="module")
def after_an_epoch(workspace: Workspace, whole: VerlRun, tmp_path_factory: Any) -> Resumed:
    """Steps three and four, from the checkpoint that ends the first epoch."""
    return resumed_from(EPOCH, STEPS, workspace, tmp_path_factory.mktemp("after_an_epoch"))


@pytest.fixture(scope="module")
def within_an_epoch(workspace: Workspace, whole: VerlRun, tmp_path_factory: Any) -> Resumed:
    """Steps two and three, from a checkpoint in the middle of the first epoch."""
    return resumed_from(1, EPOCH + 1, workspace, tmp_path_factory.mktemp("within_an_epoch"))


def test_every_step_picks_learns_and_remembers(whole: VerlRun) -> None:
    assert len(whole.metrics) == STEPS
    for number, row in enumerate(whole.metrics, start=1):
        picks = [v for k, v in row.items() if "/arm_" in k and k.endswith("/picks")]
        assert sum(picks) == number * BATCH
        assert row["sparft/curriculum/observed"] == number * BATCH
        assert row["sparft/curriculum/expired"] == 0
        assert row["sparft/curriculum/unique_prompts"] <= 6
        stored = row["sparft/memory/success"] + row["sparft/memory/failure"]
        assert stored == number * BATCH * ROLLOUTS


def test_the_curriculum_learns_from_raw_accuracy(whole: VerlRun) -> None:
    # The data is worth the test: some rollouts were right and some wrong.
    assert 0 < sum(row["sparft/pass_rate"] for row in whole.metrics) < STEPS
    row = whole.metrics[0]
    rates = {k.split("/")[2]: v for k, v in row.items() if k.endswith("/pass_rate") and "arm" in k}
    assert rates
    for arm, rate in rates.items():
        assert row[f"sparft/curriculum/{arm}/posterior_mean"] == pytest.approx(rate)


def test_the_trainer_sees_outcome_plus_intrinsic_reward(whole: VerlRun) -> None:
    for row in whole.metrics:
        shaped = row["sparft/reward/outcome"] + row["sparft/reward/intrinsic"]
        assert row["critic/score/mean"] == pytest.approx(shaped, abs=1e-5)
    assert whole.metrics[0]["sparft/reward/intrinsic"] == 0
    assert any(row["sparft/reward/intrinsic"] > 0 for row in whole.metrics[1:])


def test_verl_trains_on_the_reduced_prompts_and_its_dumps_carry_nothing_of_ours(
    workspace: Workspace, whole: VerlRun
) -> None:
    prompts = {prompt for step in workspace.prompts_by_step("rollouts") for prompt in step}
    assert 1 < len(prompts) <= 6
    line = (workspace.folder / "rollouts/1.jsonl").read_text().splitlines()[0]
    assert "acc" in json.loads(line)
    assert "sparft_" not in line


def test_validation_is_the_recipes_own_and_is_not_remembered(whole: VerlRun) -> None:
    row = whole.metrics[-1]
    validation = {k: v for k, v in row.items() if k.startswith("val-core/")}
    assert validation
    assert all(0 <= v <= 1 for v in validation.values())
    stored = row["sparft/memory/success"] + row["sparft/memory/failure"]
    assert stored == STEPS * BATCH * ROLLOUTS


def test_the_checkpoint_holds_what_its_own_step_taught(
    workspace: Workspace, whole: VerlRun
) -> None:
    """verl saves before the dataset's ``on_batch_end``; feedback by that road would be lost."""
    for step in (1, STEPS):
        curriculum = json.loads(workspace.checkpoint(step)["curriculum"])
        assert curriculum["outstanding"] == []
        assert curriculum["next_pick_id"] == step * BATCH


@pytest.mark.parametrize(
    ("resumed", "steps"),
    [
        pytest.param("after_an_epoch", (3, 4), id="after an epoch", marks=MINUTES),
        pytest.param("within_an_epoch", (2, 3), id="within an epoch", marks=MINUTES),
    ],
)
def test_a_resumed_run_equals_the_uninterrupted_one(
    resumed: str,
    steps: tuple[int, ...],
    workspace: Workspace,
    whole: VerlRun,
    request: pytest.FixtureRequest,
) -> None:
    other: Resumed = request.getfixturevalue(resumed)
    assert len(other.run.metrics) == len(steps)
    for step, row in zip(steps, other.run.metrics, strict=True):
        assert decisions(row) == decisions(whole.metrics[step - 1]), f"step {step}"
        assert other.workspace.saved(step) == workspace.saved(step), f"step {step}"
        assert other.workspace.rollouts(step) == workspace.rollouts(step), f"step {step}"
