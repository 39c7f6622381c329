"""What stops a run before it learns: lost rollouts, accuracies and embeddings of two kinds."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import numpy as np
import pytest

from sparft_plugin.config.schema import SparftConfig
from sparft_plugin.curriculum import Pick, Prompt, PromptPool
from sparft_plugin.errors import SparftError
from sparft_plugin.training.groups import FinishedGroup
from sparft_plugin.training.losses import STEPS
from sparft_plugin.training.run import TrainingRun


def start(**options: Any) -> TrainingRun:
    """A run of a curriculum over six prompts."""
    config = SparftConfig.from_mapping({"curriculum": {"name": "uniform"}, **options})
    return TrainingRun(config, PromptPool.of([Prompt(f"p{i}") for i in range(6)]), str)


def group(pick: Pick, accuracy: float = 0.5, **told: Any) -> FinishedGroup:
    tag = {"id": pick.prompt.id, "arm": 0, "difficulty": None, "pick": pick.pick_id}
    values = np.array([accuracy, accuracy])
    made = FinishedGroup("uid", tag, (("a",), ("b",)), values, values, None, 0)
    return dataclasses.replace(made, **told)


def finish(run: TrainingRun, *groups: FinishedGroup, lost: int = 0) -> dict[str, float]:
    result = run.finish(groups, lost=lost)
    assert not result.terms
    return result.metrics


def test_a_group_that_lost_a_rollout_is_no_evidence_and_its_pick_expires() -> None:
    run = start(max_incomplete=1.0)
    first, second, third = run.select(3)
    metrics = finish(run, group(first, 1.0), group(second, 0.0, complete=False), lost=1)
    assert metrics["sparft/pass_rate"] == 1.0
    assert metrics["sparft/reward/outcome"] == 1.0
    assert metrics["sparft/feedback/incomplete"] == 2
    assert run.curriculum is not None
    assert (run.curriculum.observed, run.curriculum.expired) == (1, 2)


def test_a_step_of_which_nothing_is_left_has_no_pass_rate() -> None:
    run = start(max_incomplete=1.0)
    metrics = finish(run, *(group(pick, complete=False) for pick in run.select(2)))
    assert metrics["sparft/feedback/incomplete"] == 2
    assert not {"sparft/pass_rate", "sparft/reward/outcome"} & metrics.keys()


def step(run: TrainingRun, lost: int, groups: int = 10) -> None:
    picks = run.select(groups)
    finish(run, *(group(pick) for pick in picks[lost:]), lost=lost)


def test_lost_groups_are_warned_of_once_and_stop_the_run_at_the_limit_of_twenty_steps(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # 2 % of 20 steps of 10 groups are 4 of them.
    run = start()
    with caplog.at_level(logging.WARNING):
        for lost in (3, 0, 1):
            step(run, lost)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("sparft: 3 of the step's 10 groups lost a rollout")
    with pytest.raises(SparftError, match=r"5 of the 40 groups .*sparft\.max_incomplete=0\.02"):
        step(run, 1)


def test_what_was_lost_longer_ago_than_twenty_steps_is_forgotten() -> None:
    run = start()
    for lost in [4, *[0] * STEPS, 4]:
        step(run, lost)
    with pytest.raises(SparftError, match="5 of the 200 groups of the last 20 steps"):
        step(run, 1)


def test_nothing_may_be_lost_at_a_limit_of_zero() -> None:
    run = start(max_incomplete=0)
    step(run, 0)
    with pytest.raises(SparftError, match="1 of the 20 groups"):
        step(run, 1)


@pytest.mark.parametrize("limit", [-0.1, 1.5, True, "2%", None])
def test_a_limit_that_is_no_share_is_refused(limit: Any) -> None:
    with pytest.raises(SparftError, match="max_incomplete=.* must be a share between 0 and 1"):
        start(max_incomplete=limit)


def test_accuracies_of_two_kinds_are_refused_before_anything_is_learned() -> None:
    run = start()
    first, second = run.select(2)
    kinds = [frozenset({"acc"}), frozenset({"score"})]
    groups = [group(pick, sources=kind) for pick, kind in zip((first, second), kinds, strict=True)]
    with pytest.raises(SparftError, match="accuracy was read from acc and score"):
        finish(run, *groups)
    assert run.curriculum is not None
    assert run.curriculum.observed == 0


def test_the_kind_of_accuracy_is_that_of_the_first_step() -> None:
    run = start()
    finish(run, group(*run.select(1), sources=frozenset({"acc"})))
    with pytest.raises(SparftError, match="accuracy was read from acc and score"):
        finish(run, group(*run.select(1), sources=frozenset({"score"})))


def test_a_worker_with_another_encoder_than_the_drivers_is_named() -> None:
    run = start(memory={"name": "memory_r", "encoder": "all-MiniLM-L6-v2"})
    assert run.remembering is not None
    own = run.remembering.embedder.identity
    with pytest.raises(SparftError, match=f"with other@1 and prompts with {own};"):
        finish(run, group(*run.select(1), encoders=frozenset({own, "other@1"})))
