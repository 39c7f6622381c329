"""verl calls reward functions of this package by name, and their parts come out."""

from __future__ import annotations

import json

import pytest

from tests.verl.conftest import Workspace
from tests.verl.harness import VerlRun

SOURCES = ("tiny/sum", "tiny/reverse", "tiny/count")


def trained_by(workspace: Workspace, module: str, steps: int, **options: object) -> VerlRun:
    """Train with a reward function of this package, validating after each step."""
    run = workspace.train(
        steps,
        f"reward.custom_reward_function.path=pkg://sparft_plugin.rewards.{module}",
        "reward.custom_reward_function.name=compute_score",
        *(f"+reward.custom_reward_function.reward_kwargs.{k}={v}" for k, v in options.items()),
        "trainer.test_freq=1",
        f"trainer.validation_data_dir={workspace.folder}/{module}",
    )
    assert run.returncode == 0, run.output[-4000:]
    return run


@pytest.fixture(scope="module")
def gsm8k(workspace: Workspace) -> VerlRun:
    return trained_by(workspace, "gsm8k", 1, integer_weight=0.25)


@pytest.fixture(scope="module")
def length_budget(workspace: Workspace) -> VerlRun:
    return trained_by(
        workspace,
        "length_budget",
        2,
        tokenizer="${actor_rollout_ref.model.path}",
        start=16,
        decay=0.5,
        every=1,
    )


@pytest.mark.parametrize("source", SOURCES)
def test_every_part_is_a_validation_metric_of_its_own(gsm8k: VerlRun, source: str) -> None:
    row = gsm8k.metrics[-1]

    assert f"val-core/{source}/acc/mean@1" in row, sorted(row)
    for part in ("answered", "format", "integer"):
        assert 0.0 <= row[f"val-aux/{source}/{part}/mean@1"] <= 1.0


@pytest.mark.usefixtures("gsm8k")
def test_the_parts_stand_beside_each_validated_response(workspace: Workspace) -> None:
    lines = (workspace.folder / "gsm8k" / "1.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]

    assert len(rows) == 6
    for row in rows:
        wanted = row["acc"] + row["format"] + 0.25 * row["integer"]
        assert row["score"] == pytest.approx(wanted)


@pytest.mark.parametrize("source", SOURCES)
def test_the_budget_shrinks_with_verls_own_step_and_counts_tokens(
    length_budget: VerlRun, source: str
) -> None:
    rows = [r for r in length_budget.metrics if f"val-aux/{source}/budget/mean@1" in r]

    assert [row[f"val-aux/{source}/budget/mean@1"] for row in rows] == [8.0, 4.0]
    for row in rows:
        # Generation stops at 12 tokens; encoding the text again may split a broken character.
        assert 0 < row[f"val-aux/{source}/tokens/mean@1"] <= 3 * 12
        assert 0.0 <= row[f"val-aux/{source}/length/mean@1"] <= 1.0
