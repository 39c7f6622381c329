"""Where our filter meets verl's: which finished groups the buffer has verl evict."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

import numpy as np
import pytest

from sparft_plugin.hosts.verl import replay_buffer
from sparft_plugin.hosts.verl.groups import FinishedGroup
from sparft_plugin.hosts.verl.replay_buffer import FeedbackReplayBuffer

ACCURACIES = {"right": [1, 1], "wrong": [0, 0], "mixed": [0, 1], "partly": [0.5, 0.5]}


def finished(uid: str) -> FinishedGroup:
    accuracies = np.array(ACCURACIES[uid], dtype=np.float64)
    tag = {"id": uid, "arm": 0, "difficulty": None, "pick": None}
    sessions = ((f"{uid}_0_0",), (f"{uid}_1_0",))
    return FinishedGroup(tag, sessions, accuracies, accuracies, None, 0.0, 0)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Groups as read from the queue, and which were."""
    asked: list[str] = []

    def read_groups(partition: str, tags: Any, with_responses: bool = False) -> list[Any]:
        uids = sorted({key.split("_")[0] for key in tags})
        asked.extend(uids)
        return [finished(uid) for uid in uids]

    monkeypatch.setattr(replay_buffer, "read_groups", read_groups)
    return asked


def buffer(group_filter: Any = None, filter_groups: Any = None) -> FeedbackReplayBuffer:
    made = FeedbackReplayBuffer(
        sampler_kwargs={
            "filter_groups": filter_groups,
            "group_filter": group_filter,
            "train_batch_size": 2,
            "gen_batch_size": None,
        },
        trainer_mode="sync",
        trainer_config={},
        max_off_policy_threshold=None,
        max_off_policy_strategy="drop",
        refill_fn=lambda n: None,
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


def test_each_group_is_read_and_judged_once(reads: list[str]) -> None:
    ours = buffer({"name": "mixed_only"})
    first = ours._dapo_filtered_keys("train")
    assert ours._dapo_filtered_keys("train") == first
    assert reads == sorted(ACCURACIES)


def test_validation_groups_are_not_filtered(reads: list[str]) -> None:
    ours = buffer({"name": "mixed_only"})
    ours.finished_keys["val"].add("right")
    assert ours._dapo_filtered_keys("val") == (set(), Counter())


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
