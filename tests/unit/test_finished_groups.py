"""What verl's rollouts become, and what must not be missing from them."""

from __future__ import annotations

import numpy as np
import pytest

from sparft_plugin.config.accuracy import AccuracyRule
from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl.groups import Rollout, make_group

TAG = {"id": "p", "arm": 2, "difficulty": 0.5, "pick": 7}


def group(*extras, with_responses=False, rule=None, **tag):
    rollouts = [
        Rollout([f"uid_{i}_0"], float(i), {"sparft": TAG | tag}, extra, (None, 5)[i])
        for i, extra in enumerate(extras)
    ]
    return make_group("uid", rollouts, 2, AccuracyRule(rule), with_responses)


def test_what_a_recipe_reports_is_known_of_a_group_if_each_rollout_tells_it():
    told = group({"acc": 1.0, "format": 1.0}, {"acc": 0.0, "format": 0.5})
    assert told.formats.tolist() == [1.0, 0.5]
    # The oldest weights that began a rollout; verl need not tell them.
    assert (told.model_version, group({"acc": 1.0}).model_version) == (5, 0)
    told = group({"acc": 1.0, "format": "xml", "sparft_tokens": 5}, {"acc": 0.0, "format": 1.0})
    assert told.tokens is told.at_limit is told.formats is None


def test_a_fault_of_any_rollout_is_the_groups():
    with pytest.raises(SparftError, match=r"^row 3: no score\.$"):
        group({"acc": 1.0, "sparft_source": "acc"}, {"sparft_fault": "row 3: no score."})


def test_a_group_without_our_tag_is_refused():
    with pytest.raises(SparftError, match=r"carries no extra_info\.sparft; data\.custom_cls must"):
        make_group("uid", [Rollout(["a"], 0.0, {}, {"acc": 1.0}, None)], 1, AccuracyRule(), False)


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


def test_embeddings_and_their_times_are_read_where_a_memory_needs_them():
    vector = np.array([0.5, -1.0], dtype=np.float16)
    extras = [
        {"acc": 1.0, "sparft_embedding": v, "sparft_scored_at": at, "sparft_embedded_at": at + 1}
        for v, at in ((vector, 101.0), (-vector, 100.0))
    ]
    assert group(*extras).responses is None
    told = group(*extras, with_responses=True)
    assert told.responses.dtype == np.float32
    assert told.responses.tolist() == [[0.5, -1.0], [-0.5, 1.0]]
    assert (told.scored_at, told.embedded_at) == (101.0, 102.0)
    with pytest.raises(SparftError, match="carries no embedding: its agent loop scored it itself"):
        group({"acc": 1.0}, with_responses=True)
