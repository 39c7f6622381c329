"""Without a sparft name nothing changes, whoever's reward function verl calls; with one, the
recipe's own pieces go on working."""

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

STEPS = 3
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


SOURCES = ("tiny/sum", "tiny/reverse", "tiny/count")


@pytest.fixture(scope="module")
def plain(workspace: Workspace) -> VerlRun:
    """Run without a sparft name, by a reward function of this package as verl calls it."""
    options = {
        "tokenizer": "${actor_rollout_ref.model.path}",
        "start": 16,
        "decay": 0.5,
        "every": 1,
        "verifier": "gsm8k",
        "verifier_kwargs": "{integer_weight:0.25}",
    }
    run = workspace.train(
        STEPS,
        *ORDER,
        f"trainer.rollout_data_dir={workspace.folder}/plain",
        "reward.custom_reward_function.path=pkg://sparft_plugin.rewards.length_budget",
        "reward.custom_reward_function.name=compute_score",
        *(f"+reward.custom_reward_function.reward_kwargs.{k}={v}" for k, v in options.items()),
        "trainer.test_freq=1",
        f"trainer.validation_data_dir={workspace.folder}/validation",
    )
    assert run.returncode == 0, run.output[-4000:]
    return run


@pytest.fixture(scope="module")
def wrapped(workspace: Workspace) -> VerlRun:
    (workspace.folder / "manager.py").write_text(MANAGER)
    run = workspace.train(
        STEPS,
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
        f"trainer.save_freq={STEPS}",
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
    batches = [batch for batch, _ in zip(loader, range(STEPS), strict=False)]
    return [sorted(rows[i]["prompt"][0]["content"] for i in batch) for batch in batches]


def test_without_a_name_the_metrics_and_picked_rows_are_verls_own(
    workspace: Workspace, plain: VerlRun
) -> None:
    assert len(plain.metrics) == STEPS
    assert not [key for row in plain.metrics for key in row if "sparft" in key]
    verls_default_workers = 8
    assert workspace.prompts_by_step("plain") == verls_own_prompts(
        workspace.folder, verls_default_workers
    )


def test_every_part_of_our_reward_is_a_validation_metric_and_stands_beside_each_response(
    workspace: Workspace, plain: VerlRun
) -> None:
    for source in SOURCES:
        assert f"val-core/{source}/acc/mean@1" in plain.metrics[-1]
        for part in ("answered", "format", "integer", "length"):
            assert 0 <= plain.metrics[-1][f"val-aux/{source}/{part}/mean@1"] <= 1
    lines = (workspace.folder / "validation/1.jsonl").read_text().splitlines()
    assert len(lines) == 6
    for row in map(json.loads, lines):
        parts = row["acc"] + row["format"] + 0.25 * row["integer"] + 0.5 * row["length"]
        assert row["score"] == pytest.approx(parts)


def test_the_length_budget_shrinks_with_verls_own_step_and_counts_tokens(plain: VerlRun) -> None:
    for source in SOURCES:
        budgets = [row[f"val-aux/{source}/budget/mean@1"] for row in plain.metrics]
        assert budgets == [8, 4, 2]
        for row in plain.metrics:
            # Generation stops at 12 tokens; encoding the text again may split a character.
            assert 0 < row[f"val-aux/{source}/tokens/mean@1"] <= 3 * 12


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
    assert len(json.loads(workspace.checkpoint(STEPS)["collapse"])["steps"]) == STEPS


def test_a_recipes_own_reward_manager_goes_on_working(wrapped: VerlRun) -> None:
    for row in wrapped.metrics:
        assert row["sparft/reward/outcome"] == pytest.approx(row["sparft/pass_rate"] + 0.25)
        shaped = row["sparft/reward/outcome"] + row["sparft/reward/intrinsic"]
        assert row["critic/score/mean"] == pytest.approx(shaped, abs=1e-5)
