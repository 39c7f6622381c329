"""Without a sparft name nothing changes; with one, the recipe's own pieces go on working."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf
from torchdata.stateful_dataloader import StatefulDataLoader
from verl.trainer.ppo.utils import create_rl_sampler

from tests.verl.conftest import Workspace
from tests.verl.harness import VerlRun

ORDER = ("data.shuffle=True", "data.seed=7")
MANAGER = '''
"""A recipe's own reward manager: verl's naive one, and a mark to know it by."""

from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager


class MarkedManager(NaiveRewardManager):
    async def run_single(self, data):
        result = await super().run_single(data)
        result["reward_score"] += 0.25
        return result
'''


@pytest.fixture(scope="module")
def plain(workspace: Workspace) -> VerlRun:
    run = workspace.train(3, *ORDER, f"trainer.rollout_data_dir={workspace.folder}/plain")
    assert run.returncode == 0, run.output[-4000:]
    return run


@pytest.fixture(scope="module")
def wrapped(workspace: Workspace) -> VerlRun:
    (workspace.folder / "manager.py").write_text(MANAGER)
    run = workspace.train(
        3,
        *ORDER,
        f"trainer.rollout_data_dir={workspace.folder}/wrapped",
        "+sparft=memory_r",
        "reward.reward_manager.source=importlib",
        f"reward.reward_manager.module.path={workspace.folder}/manager.py",
        "reward.reward_manager.name=MarkedManager",
        # Validation on the training file, as in a run that is to overfit.
        f"data.val_files={workspace.folder}/train.parquet",
        "data.val_max_samples=6",
        "trainer.test_freq=2",
        "trainer.save_freq=3",
    )
    assert run.returncode == 0, run.output[-4000:]
    return run


def verls_own_prompts(folder: Path, workers: int) -> list[list[str]]:
    """Questions of the first batches as verl's own sampler and loader hand them out."""
    rows = pq.read_table(folder / "train.parquet").to_pylist()
    config = OmegaConf.create({"shuffle": True, "seed": 7})
    loader = StatefulDataLoader(
        range(len(rows)),
        batch_size=4,
        num_workers=workers,
        drop_last=True,
        collate_fn=list,
        sampler=create_rl_sampler(config, rows),
    )
    batches = [batch for batch, _ in zip(loader, range(3), strict=False)]
    return [sorted(rows[i]["prompt"][0]["content"] for i in batch) for batch in batches]


def test_without_a_name_the_metrics_and_picked_rows_are_verls_own(
    workspace: Workspace, plain: VerlRun
) -> None:
    assert len(plain.metrics) == 3
    assert not [key for row in plain.metrics for key in row if "sparft" in key]
    verls_default_workers = 8
    assert workspace.prompts_by_step("plain") == verls_own_prompts(
        workspace.folder, verls_default_workers
    )


def test_memory_alone_leaves_the_recipes_order_as_it_is(
    workspace: Workspace, wrapped: VerlRun
) -> None:
    # torchdata shuffles differently with and without loader workers; the memory needs none.
    assert workspace.prompts_by_step("wrapped") == verls_own_prompts(workspace.folder, workers=0)
    assert not [key for row in wrapped.metrics for key in row if "curriculum" in key]


def test_validation_on_the_training_file_leaves_the_memory_to_the_training_run(
    workspace: Workspace, wrapped: VerlRun
) -> None:
    validated = [any(key.startswith("val-core/") for key in row) for row in wrapped.metrics]
    assert validated == [False, True, True]
    right = np.cumsum([16 * row["sparft/pass_rate"] for row in wrapped.metrics])
    assert [row["sparft/memory/success"] for row in wrapped.metrics] == pytest.approx(right)
    assert right[0] > 0
    # What is saved is what the log tells of.
    assert len(json.loads(workspace.checkpoint(3)["collapse"])["steps"]) == 3


def test_a_recipes_own_reward_manager_goes_on_working(wrapped: VerlRun) -> None:
    for row in wrapped.metrics:
        assert row["sparft/reward/outcome"] == pytest.approx(row["sparft/pass_rate"] + 0.25)
        shaped = row["sparft/reward/outcome"] + row["sparft/reward/intrinsic"]
        assert row["critic/score/mean"] == pytest.approx(shaped, abs=1e-5)
