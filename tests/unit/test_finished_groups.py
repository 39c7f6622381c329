"""What an adapter's rollouts become, and what must not be missing from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sparft_plugin.config.accuracy import AccuracyRule
from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl.groups import make_group
from sparft_plugin.training.groups import FinishedGroup
from sparft_plugin.training.metrics import encoding_outlived_rewards, group_metrics

TAG = {"id": "p", "arm": 2, "difficulty": 0.5, "pick": 7}


def group(
    *extras: dict, with_responses: bool = False, rule: str | None = None, **tag: int
) -> FinishedGroup:
    n = len(extras)
    return make_group(
        "uid",
        outputs=[[f"uid_{i}_0"] for i in range(n)],
        rewards=[float(i) for i in range(n)],
        infos=[{"sparft": TAG | tag}] * n,
        extras=extras,
        versions=[5, None, 3][:n],
        with_responses=with_responses,
        accuracy=AccuracyRule(rule),
        rollouts=2,
    )


def test_lengths_and_formats_come_with_the_rollouts_that_tell_them():
    told = group(
        {"acc": 1.0, "sparft_tokens": 5, "sparft_at_limit": False, "format": 1.0},
        {"acc": 0.0, "sparft_tokens": 8, "sparft_at_limit": True, "format": 0.5},
    )
    assert told.tokens.tolist() == [5, 8]
    assert told.at_limit.tolist() == [False, True]
    assert told.formats.tolist() == [1.0, 0.5]


def test_responses_that_were_encoded_as_an_empty_text_are_counted():
    told = group({"acc": 0.0, "sparft_blank": True}, {"acc": 0.0, "sparft_blank": False})
    assert told.blank == 1
    assert group({"acc": 0.0}).blank == 0


def test_what_one_rollout_does_not_tell_is_not_known_of_the_group():
    told = group({"acc": 1.0, "format": 1.0, "sparft_tokens": 5}, {"acc": 0.0, "format": None})
    assert told.tokens is None
    assert told.at_limit is None
    assert told.formats is None


def test_a_format_that_is_no_number_is_not_a_format_reward():
    told = group({"acc": 1.0, "format": "xml"}, {"acc": 0.0, "format": 1.0})
    assert told.formats is None


def test_a_fault_of_any_rollout_is_the_groups() -> None:
    with pytest.raises(SparftError, match=r"^row 3: no score\.$"):
        group({"acc": 1.0, "sparft_source": "acc"}, {"sparft_fault": "row 3: no score."})


def test_a_group_with_fewer_rollouts_than_were_asked_for_is_not_complete():
    assert not group({"acc": 1.0}).complete
    assert group({"acc": 1.0}, {"acc": 0.0}).complete
    # The recipe's dataset asked for its own number.
    assert group({"acc": 1.0}, rollouts=1).complete
    assert not group({"acc": 1.0}, {"acc": 1.0}, rollouts=3).complete


def test_a_rollout_that_its_agent_loop_scored_itself_is_read_by_the_same_rule():
    told = group({"acc": 0.25}, {"acc": 0.75, "sparft_source": "acc"})
    assert told.accuracies.tolist() == [0.25, 0.75]
    assert told.sources == {"acc"}
    # Without an acc the reward is the accuracy, here 0 and 1.
    assert group({}, {}).accuracies.tolist() == [0.0, 1.0]
    assert group({}, {}, rule="score>=0.5").sources == {"score>=0.5"}


def test_embeddings_are_asked_for_only_where_a_memory_needs_them():
    vector = np.array([0.5, -1.0], dtype=np.float16)
    extras = [{"acc": 1.0, "sparft_embedding": vector}, {"acc": 0.0, "sparft_embedding": -vector}]
    assert group(*extras).responses is None
    responses = group(*extras, with_responses=True).responses
    assert responses.dtype == np.float32
    assert responses.tolist() == [[0.5, -1.0], [-0.5, 1.0]]
    with pytest.raises(SparftError, match="carries no embedding: its agent loop scored it itself"):
        group({"acc": 1.0}, with_responses=True)


def test_encoding_counts_for_as_long_as_it_outlived_the_last_reward_of_the_step():
    def timed(*times):
        return group(
            *[{"acc": 0.0, "sparft_scored_at": a, "sparft_embedded_at": b} for a, b in times]
        )

    hidden = timed((100.0, 103.0), (104.0, 104.0))
    outlived = timed((101.0, 106.5), (105.0, 105.5))
    assert encoding_outlived_rewards([hidden]) == 0
    assert encoding_outlived_rewards([hidden, outlived]) == 1.5
    assert encoding_outlived_rewards([group({"acc": 0.0})]) == 0
    assert encoding_outlived_rewards([]) == 0


def test_a_group_of_one_rollout_is_not_called_wasted():
    alone, mixed = group({"acc": 1.0}), group({"acc": 1.0}, {"acc": 0.0})
    assert "wasted_group_share" not in group_metrics([alone], [])
    assert group_metrics([alone, mixed], [])["wasted_group_share"] == 0.0
    equal = replace(mixed, rewards=np.ones(2))
    assert group_metrics([mixed], [equal])["wasted_group_share"] == 0.5
