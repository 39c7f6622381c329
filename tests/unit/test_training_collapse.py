"""A training run watches for collapses, says so, and fades the intrinsic reward if asked to."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from sparft_plugin.config.schema import SparftConfig
from sparft_plugin.errors import SparftError
from sparft_plugin.memory.base import Terms
from sparft_plugin.training import run as training
from sparft_plugin.training.groups import FinishedGroup
from sparft_plugin.training.metrics import step_stats
from sparft_plugin.training.run import TrainingRun

WINDOW = 20


class PaysOne:
    """A memory that pays one for everything and is its own far side."""

    def __init__(self, *arguments: Any) -> None:
        self.memory = self

    def score_and_write(
        self, trained: Sequence[FinishedGroup], cleared: Sequence[FinishedGroup]
    ) -> list[Terms]:
        return [Terms(*np.ones((3, len(group.rewards)))) for group in trained]

    def metrics(self) -> dict[str, float]:
        return {}

    def state_dict(self) -> dict[str, str]:
        return {"header": "the memory"}

    def load_state_dict(self, state: dict[str, str]) -> None:
        assert state == {"header": "the memory"}


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[..., TrainingRun]:
    monkeypatch.setattr(training, "Remembering", PaysOne)

    def make(**host: Any) -> TrainingRun:
        memory = {"name": "memory_r", "encoder": "tiny", **host}
        return TrainingRun(SparftConfig.from_mapping({"memory": memory}), None, str)

    return make


def group(accuracy: float, tokens: float, at_limit: bool = False) -> FinishedGroup:
    """Four rollouts, all of one length."""
    tag = {"id": "p", "arm": 0, "difficulty": None, "pick": None}
    right = np.arange(4) < 4 * accuracy
    return FinishedGroup(
        "uid",
        tag,
        outputs=((0,), (1,), (2,), (3,)),
        rewards=right.astype(np.float64),
        accuracies=right.astype(np.float64),
        responses=None,
        model_version=0,
        tokens=np.full(4, tokens, np.int64),
        at_limit=np.full(4, at_limit),
    )


HEALTHY, SHORT = group(0.5, tokens=100), group(0.5, tokens=2)


def train(run: TrainingRun, *groups: FinishedGroup) -> list[tuple[float, dict[str, float]]]:
    """What each step paid a rollout, and its metrics."""
    told = []
    for finished in groups:
        result = run.finish([finished])
        (paid,) = np.unique(result.terms["uid"])
        assert result.metrics["sparft/reward/intrinsic"] == pytest.approx(paid)
        told.append((float(paid), result.metrics))
    return told


def test_a_collapse_is_told_once_and_pays_on(
    start: Callable[..., TrainingRun], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        told = train(start(), *[HEALTHY] * WINDOW, *[SHORT] * 2 * WINDOW)
    assert [paid for paid, _ in told] == [1.0] * 3 * WINDOW
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("sparft: length collapse")
    assert told[0][1]["sparft/collapse/episodes"] == 0
    assert told[-1][1]["sparft/collapse/episodes"] == 1
    assert told[-1][1]["sparft/collapse/short"] == pytest.approx(0.98)


def test_a_collapse_fades_the_intrinsic_reward_where_that_is_asked_for(
    start: Callable[..., TrainingRun],
) -> None:
    told = train(start(fade=True), *[HEALTHY] * WINDOW, *[SHORT] * 2 * WINDOW)
    paid = [reward for reward, _ in told]
    assert paid[: WINDOW + 1] == [1.0] * (WINDOW + 1)
    assert paid == sorted(paid, reverse=True)
    assert paid[-1] == 0.0
    # The terms are told as the memory gave them.
    assert told[-1][1]["sparft/reward/exploit"] == 1.0


def test_a_resumed_run_watches_on_as_the_uninterrupted_one(
    start: Callable[..., TrainingRun],
) -> None:
    first, resumed = start(fade=True), start(fade=True)
    train(first, *[HEALTHY] * WINDOW, *[SHORT] * (WINDOW - 2))
    resumed.load_state_dict(first.state_dict())
    ours, theirs = (train(run, *[SHORT] * WINDOW) for run in (resumed, first))
    assert [paid for paid, _ in ours] == [paid for paid, _ in theirs]
    assert ours[0][0] < 1.0
    assert resumed.state_dict() == first.state_dict()


def test_the_state_is_of_this_version_and_has_its_keys_and_no_other(
    start: Callable[..., TrainingRun],
) -> None:
    run = start()
    state = run.state_dict()
    assert (state["curriculum"], state["memory"]) == (None, {"header": "the memory"})
    assert json.loads(state["collapse"])["window"] == WINDOW
    with pytest.raises(SparftError, match="has version 1, this package reads 3"):
        run.load_state_dict({**state, "version": 1})
    with pytest.raises(SparftError, match=r"missing keys \['collapse'\] and unknown keys \['x'\]"):
        run.load_state_dict({**{k: v for k, v in state.items() if k != "collapse"}, "x": 1})


def test_a_step_is_told_over_all_its_responses() -> None:
    stats = step_stats([group(0.5, tokens=10), group(0.25, tokens=20, at_limit=True)])
    assert stats is not None
    assert (stats.accuracy, stats.mean_tokens, stats.clipped_share) == (0.375, 15.0, 0.5)
    assert stats.format_reward is None


def test_without_lengths_there_is_nothing_to_watch() -> None:
    silent = FinishedGroup("u", HEALTHY.tag, ((0,),), *np.ones((2, 1)), None, 0)
    assert step_stats([HEALTHY, silent]) is None
    assert step_stats([]) is None
