"""Without a sparft name nothing changes; with one, the recipe's own pieces go on working."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from torch.utils.data import RandomSampler

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
    )
    assert run.returncode == 0, run.output[-4000:]
    return run


def verls_own_prompts(folder: Path, steps: int) -> list[list[str]]:
    """Questions of each batch as verl's shuffled sampler hands them out."""
    import torch

    rows = pq.read_table(folder / "train.parquet").to_pylist()
    generator = torch.Generator()
    generator.manual_seed(7)
    order = list(RandomSampler(rows, generator=generator))
    batches = [order[4 * step : 4 * step + 4] for step in range(steps)]
    return [sorted(rows[i]["prompt"][0]["content"] for i in batch) for batch in batches]


def test_without_a_name_the_metrics_and_picked_rows_are_verls_own(
    workspace: Workspace, plain: VerlRun
) -> None:
    assert len(plain.metrics) == 3
    assert not [key for row in plain.metrics for key in row if "sparft" in key]
    trained = workspace.prompts_by_step("plain")
    for got, questions in zip(trained, verls_own_prompts(workspace.folder, 3), strict=True):
        assert len(got) == len(questions)
        assert all(any(question in text for text in got) for question in questions)


def test_memory_alone_leaves_the_recipes_order_as_it_is(
    workspace: Workspace, plain: VerlRun, wrapped: VerlRun
) -> None:
    assert workspace.prompts_by_step("wrapped") == workspace.prompts_by_step("plain")
    assert not [key for row in wrapped.metrics for key in row if "curriculum" in key]


def test_a_recipes_own_reward_manager_goes_on_working(wrapped: VerlRun) -> None:
    for row in wrapped.metrics:
        assert row["sparft/reward/outcome"] == pytest.approx(row["sparft/pass_rate"] + 0.25)
        shaped = row["sparft/reward/outcome"] + row["sparft/reward/intrinsic"]
        assert row["critic/score/mean"] == pytest.approx(shaped, abs=1e-5)
