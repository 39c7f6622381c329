"""Validation between two steps neither reads the memory nor writes it."""

from __future__ import annotations

import json

from tests.verl.conftest import Uninterrupted

PER_STEP = 4 * 4


def test_the_memory_grows_by_the_training_rollouts_whether_or_not_there_is_validation(
    uninterrupted: Uninterrupted,
) -> None:
    rows = uninterrupted.run.metrics
    validated = [any(key.startswith("val-core/") for key in row) for row in rows]
    # After step 3, and so between the memory's third and fourth step; and at the end.
    assert validated == [False, False, True, False, True]
    held = [row["sparft/memory/success"] + row["sparft/memory/failure"] for row in rows]
    assert held == [step * PER_STEP for step in range(1, 6)]


def test_validation_is_paid_the_recipes_own_reward(uninterrupted: Uninterrupted) -> None:
    for row in uninterrupted.run.metrics:
        for key, value in row.items():
            if key.startswith("val-core/"):
                assert 0 <= value <= 1


def test_the_collapse_watch_is_told_of_every_training_step(uninterrupted: Uninterrupted) -> None:
    watched = json.loads(uninterrupted.workspace.checkpoint(5)["collapse"])["steps"]
    assert [step["accuracy"] for step in watched] == [
        row["sparft/pass_rate"] for row in uninterrupted.run.metrics
    ]
    # The recipe's responses are cut at twelve tokens.
    assert all(0 < step["mean_tokens"] <= 12 for step in watched)
    assert all(step["format_reward"] is None for step in watched)
