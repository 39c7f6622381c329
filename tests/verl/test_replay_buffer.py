"""Where our filter meets verl's: which finished groups the buffer has verl evict."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

import numpy as np
import pytest
from verl.trainer.ppo.v1.replay_buffer import ReplayBufferAsync

from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl import replay_buffer
from sparft_plugin.hosts.verl.dataset import CurriculumDataset
from sparft_plugin.hosts.verl.replay_buffer import (
    FeedbackReplayBuffer,
    FeedbackReplayBufferAsync,
)
from sparft_plugin.training.groups import FinishedGroup
from sparft_plugin.training.metrics import PartTimer
from sparft_plugin.training.run import StepResult

ACCURACIES = {"right": [1, 1], "wrong": [0, 0], "mixed": [0, 1], "partly": [0.5, 0.5]}


def finished(uid: str) -> FinishedGroup:
    accuracies = np.array(ACCURACIES.get(uid, [0, 1]), dtype=np.float64)
    tag = {"id": uid, "arm": 0, "difficulty": None, "pick": None}
    outputs = ((f"{uid}_0_0",), (f"{uid}_1_0",))
    return FinishedGroup(uid, tag, outputs, accuracies, accuracies, None, 0)


class Run:
    """A training run that notes what a step tells it."""

    remembering: Any = None

    def __init__(self) -> None:
        self.timer = PartTimer()

    def unanswered(self, groups: list[FinishedGroup]) -> set[int]:
        return {0, 1, 2, 3}

    def finish(self, trained: Any, cleared: Any, in_flight: Any, lost: int) -> StepResult:
        self.lost, self.in_flight = lost, in_flight
        self.trained = {group.uid for group in trained}
        self.cleared = {group.uid for group in cleared}
        return StepResult({}, {})

    def times(self) -> dict[str, float]:
        return {}


class Trainer:
    """What verl's trainer is to a buffer: a training set, and a method that adds prompts."""

    def __init__(self, run: Any) -> None:
        self.train_dataset = CurriculumDataset.__new__(CurriculumDataset)
        self.train_dataset.run = run
        self.refilled: list[int] = []

    def refill(self, prompts: int) -> None:
        self.refilled.append(prompts)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Groups as read from the queue, and which were."""
    asked: list[str] = []

    def read_groups(partition: str, tags: Any, *settings: Any) -> list[Any]:
        uids = sorted({key.split("_")[0] for key in tags})
        asked.extend(uids)
        return [finished(uid) for uid in uids]

    monkeypatch.setattr(replay_buffer, "read_groups", read_groups)
    return asked


def buffer(
    group_filter: Any = None,
    filter_groups: Any = None,
    mode: str = "sync",
    threshold: int | None = None,
    trainer: Any = None,
) -> FeedbackReplayBuffer:
    made = FeedbackReplayBuffer(
        sampler_kwargs={
            "filter_groups": filter_groups,
            "group_filter": group_filter,
            "train_batch_size": 2,
            "gen_batch_size": None,
            "rollouts": 2,
        },
        trainer_mode=mode,
        trainer_config={},
        max_off_policy_threshold=threshold,
        max_off_policy_strategy="drop",
        refill_fn=(trainer or Trainer(Run())).refill,
    )
    for uid in ACCURACIES:
        made.finished_keys["train"].add(uid)
        made.partitions["train"].update({f"{uid}_{i}_0": {} for i in (0, 1)})
    return made


def test_without_a_filter_verl_filters_nothing(reads: list[str]) -> None:
    plain = buffer({"name": None})
    assert plain.filter_groups_metric is None
    assert plain._dapo_filtered_keys("train") == (set(), Counter())
    assert reads == []


@pytest.mark.parametrize(
    ("group_filter", "rejected"),
    [
        ({"name": "mixed_only"}, {"right", "wrong", "partly"}),
        ({"name": "band", "lo": 0.2, "hi": 0.8}, {"right", "wrong"}),
    ],
)
def test_our_filter_alone_turns_verls_refill_on(
    reads: list[str], group_filter: Any, rejected: set[str]
) -> None:
    ours = buffer(group_filter)
    assert ours.filter_groups_metric is not None
    assert ours.gen_batch_size == 1
    uids, pass_rates = ours._dapo_filtered_keys("train")
    assert uids == rejected
    assert pass_rates == Counter(float(np.mean(ACCURACIES[uid])) for uid in rejected)


def test_each_group_is_read_and_judged_once_and_those_of_validation_never(
    reads: list[str],
) -> None:
    ours = buffer({"name": "mixed_only"})
    first = ours._dapo_filtered_keys("train")
    assert ours._dapo_filtered_keys("train") == first
    ours.finished_keys["val"].add("right")
    assert ours._dapo_filtered_keys("val") == (set(), Counter())
    assert reads == sorted(ACCURACIES)


def test_both_filters_together_reject_what_either_does(
    reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def kv_batch_get(keys: list[str], **kwargs: Any) -> dict[str, Any]:
        # verl's metric here is not accuracy: it finds that only the group "mixed" is unanimous.
        values = [0.0 if key.startswith("mixed") else float(key[-3]) for key in keys]
        return {"extra_fields": [{"reward_extra_info": {"other": value}} for value in values]}

    monkeypatch.setattr("verl.trainer.ppo.v1.replay_buffer.tq.kv_batch_get", kv_batch_get)
    both = buffer({"name": "band"}, {"enable": True, "metric": "other"})
    assert both.filter_groups_metric == "other"
    uids, values = both._dapo_filtered_keys("train")
    assert uids == {"right", "wrong", "mixed"}
    assert values == Counter([0.0, 1.0, 0.0])


def test_a_filter_that_rejects_for_ever_says_so(
    reads: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    ours = buffer({"name": "mixed_only"})
    ours._dapo_filtered_keys("train")
    with caplog.at_level(logging.WARNING):
        for _ in range(7):
            ours._count_rejected({"right", "wrong", "partly", "mixed"})
    said = [record.getMessage() for record in caplog.records if "sparft" in record.name]
    assert said == [
        "sparft: the group filter has rejected 21 groups in this step, which goes on until 2 are "
        "kept."
    ]


# The asynchronous modes


class Queue:
    """What verl's buffer asks of the TransferQueue, over plain dictionaries."""

    def __init__(self, statuses: dict[str, tuple[str, int]]) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        for uid, (status, step) in statuses.items():
            self.items[uid] = {"is_prompt": True, "status": status, "global_steps": step}
            if status in ("finished", "failure"):
                self.items |= {f"{uid}_{i}_0": {"status": "success"} for i in (0, 1)}

    def kv_list(self) -> dict[str, dict[str, Any]]:
        return {"train": dict(self.items)}

    def kv_clear(self, partition_id: str, keys: list[str]) -> None:
        for key in keys:
            self.items.pop(key, None)


def test_verl_gets_its_asynchronous_sampling_in_its_asynchronous_modes() -> None:
    assert type(buffer()) is FeedbackReplayBuffer
    for mode in ("colocate_async", "separate_async"):
        made = buffer(mode=mode)
        assert type(made) is FeedbackReplayBufferAsync
        assert isinstance(made, ReplayBufferAsync)
        # What verl's trainer calls to lend its devices to the rollout.
        assert made.wait_for_sampleable.__func__ is ReplayBufferAsync.wait_for_sampleable


def test_stale_and_filtered_groups_are_learned_from_and_failed_ones_are_not(
    reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Queue(
        {
            "mixed": ("finished", 9),
            "right": ("finished", 9),
            "partly": ("finished", 1),
            "failed": ("failure", 9),
            "later": ("finished", 10),
            "running": ("running", 9),
            "pending": ("pending", 10),
        }
    )
    monkeypatch.setattr("verl.trainer.ppo.v1.replay_buffer.tq", queue)
    asked: list[list[str]] = []

    def read_picks(partition: str, uids: set[str]) -> set[int]:
        asked.append(sorted(uids))
        return {0, 1, 2}

    monkeypatch.setattr(replay_buffer, "read_picks", read_picks)
    run = Run()
    trainer = Trainer(run)
    band = {"name": "band", "lo": 0.4, "hi": 0.6}
    made = buffer(band, mode="colocate_async", threshold=8, trainer=trainer)
    _, metrics = made.sample(10, "train", 1)
    assert run.trained == {"mixed"}
    assert run.cleared == {"right", "partly"}
    # More picks are outstanding than verl holds groups, so it is asked which those are.
    assert run.in_flight == {0, 1, 2}
    assert asked == [["later", "pending", "running"]]
    assert trainer.refilled == [3]
    assert trainer.train_dataset.asked_for
    assert metrics["sparft/feedback/evicted"] == 2
    assert run.lost == 1
    # The counts are of one step.
    _, metrics = made.sample(10, "train", 1)
    assert run.trained == {"later"}
    assert metrics["sparft/feedback/evicted"] == run.lost == 0


def test_the_synchronous_mode_waits_for_nothing_and_counts_groups_of_which_nothing_is_left(
    reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Queue({"mixed": ("finished", 1), "partly": ("failure", 1), "gone": ("failure", 1)})
    queue.items = {key: tag for key, tag in queue.items.items() if not key.startswith("gone_")}
    monkeypatch.setattr("verl.trainer.ppo.v1.replay_buffer.tq", queue)
    run = Run()
    _, metrics = buffer(trainer=Trainer(run)).sample(1, "train", 3)
    assert run.trained == {"mixed", "partly"}
    assert (metrics, run.in_flight, run.lost) == ({}, None, 1)


def test_a_fault_is_told_even_where_verls_filter_misses_its_metric(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def faulty(*_: Any) -> list[Any]:
        raise SparftError("row 3: no score.")

    monkeypatch.setattr(replay_buffer, "read_groups", faulty)
    monkeypatch.setattr(
        "verl.trainer.ppo.v1.replay_buffer.tq.kv_batch_get",
        lambda keys, **_: {"extra_fields": [{"reward_extra_info": {}} for _ in keys]},
    )
    with pytest.raises(SparftError, match="row 3: no score"):
        buffer(None, {"enable": True, "metric": "acc"})._dapo_filtered_keys("train")


@pytest.mark.parametrize("train_dataset", [None, object(), CurriculumDataset])
def test_a_trainer_without_our_training_set_is_refused(
    reads: list[str], monkeypatch: pytest.MonkeyPatch, train_dataset: Any
) -> None:
    monkeypatch.setattr("verl.trainer.ppo.v1.replay_buffer.tq", Queue({"mixed": ("finished", 1)}))
    trainer = Trainer(None)
    if train_dataset is not CurriculumDataset:
        trainer.train_dataset = train_dataset
    with pytest.raises(SparftError, match=r"data\.custom_cls must be sparft_plugin's"):
        buffer(trainer=trainer).sample(1, "train", 1)


class Remembers:
    """A memory's side that lacks the text of every prompt."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def lacks_text(self, prompt_id: str) -> bool:
        return prompt_id not in self.texts

    def add_text(self, prompt_id: str, text: str) -> None:
        self.texts[prompt_id] = text


def test_the_memory_is_told_the_text_of_a_prompt_drawn_before_the_checkpoint(
    reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run()
    run.remembering = Remembers()
    monkeypatch.setattr(replay_buffer, "read_text", lambda partition, group: f"of {group.uid}")
    monkeypatch.setattr("verl.trainer.ppo.v1.replay_buffer.tq", Queue({"mixed": ("finished", 1)}))
    buffer(trainer=Trainer(run)).sample(1, "train", 1)
    assert run.remembering.texts == {"mixed": "of mixed"}
