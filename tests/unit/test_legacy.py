"""Groups in the batch of verl's legacy trainer, in verl's own container."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from verl import DataProto

from sparft_plugin.config.accuracy import AccuracyRule
from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl.legacy import add_to_rewards, drop_ours
from sparft_plugin.hosts.verl.legacy import read_groups as read

WIDTH, PROMPT = 5, 3
read_groups = partial(read, accuracy=AccuracyRule(), rollouts=1)


def batch(uids, lengths, picks=None, **extras):
    """Prompts and output of one row per uid; the reward of row i is i, at its last token."""
    n = len(uids)
    mask = torch.zeros(n, PROMPT + WIDTH, dtype=torch.int64)
    mask[:, :PROMPT] = 1
    scores = torch.zeros(n, WIDTH)
    for row, length in enumerate(lengths):
        mask[row, PROMPT : PROMPT + length] = 1
        scores[row, length - 1] = float(row)
    number = {uid: i for i, uid in enumerate(dict.fromkeys(uids))}
    picks = picks or number
    tags = [
        {"sparft": {"id": f"prompt {uid}", "arm": 0, "difficulty": None, "pick": picks[uid]}}
        for uid in uids
    ]
    extras = {"acc": np.array([row % 2 for row in range(n)], dtype=np.float64), **extras}
    reports = np.array([{k: v[row] for k, v in extras.items()} for row in range(n)], dtype=object)
    prompts = DataProto.from_dict(
        non_tensors={
            "uid": np.array(uids, dtype=object),
            "extra_info": np.array(tags, dtype=object),
        }
    )
    output = DataProto.from_dict(
        tensors={
            "prompts": torch.zeros(n, PROMPT, dtype=torch.int64),
            "attention_mask": mask,
            "rm_scores": scores,
        },
        non_tensors={
            "min_global_steps": np.array([7] * n, dtype=object),
            "reward_extra_info": reports,
            **extras,
        },
        meta_info={"reward_extra_keys": list(extras), "timing": {}},
    )
    return prompts, output


def test_rows_of_one_uid_are_one_group_wherever_they_stand_in_the_order_of_picks():
    vectors = np.arange(16, dtype=np.float16).reshape(4, 4)
    uids, picks = ["a", "b", "a", "b"], {"a": 5, "b": 4}
    told = batch(uids, [2, 3, 4, 5], picks=picks, sparft_embedding=vectors)
    groups = read_groups(*told, with_responses=True)
    assert [group.uid for group in groups] == ["b", "a"]
    assert [group.outputs for group in groups] == [((1,), (3,)), ((0,), (2,))]
    assert [group.rewards.tolist() for group in groups] == [[1, 3], [0, 2]]
    assert [group.accuracies.tolist() for group in groups] == [[1, 1], [0, 0]]
    assert [group.model_version for group in groups] == [7, 7]
    assert groups[0].responses.tolist() == vectors[[1, 3]].tolist()


@given(lengths=st.lists(st.integers(1, WIDTH), min_size=1, max_size=6), data=st.data())
def test_a_term_is_added_at_the_token_where_the_outcome_stands(lengths, data):
    uids = data.draw(st.lists(st.sampled_from("abc"), min_size=len(lengths), max_size=len(lengths)))
    prompts, output = batch(uids, lengths)
    before = output.batch["rm_scores"].clone()
    groups = read_groups(prompts, output)
    terms = {g.uid: np.array([10.0 + row for (row,) in g.outputs]) for g in groups}
    add_to_rewards(output, groups, terms)
    for row, length in enumerate(lengths):
        added = output.batch["rm_scores"][row] - before[row]
        assert added.tolist() == [10.0 + row if i == length - 1 else 0.0 for i in range(WIDTH)]


def test_an_empty_response_is_paid_where_verl_puts_its_outcome():
    """verl counts back from the response's first token and so writes to the last column."""
    prompts, output = batch(["a"], [WIDTH])
    output.batch["attention_mask"][:, PROMPT:] = 0
    add_to_rewards(output, read_groups(prompts, output), {"a": np.array([0.5])})
    assert output.batch["rm_scores"][0].tolist() == [0, 0, 0, 0, 0.5]


def test_rewards_that_ray_maps_read_only_are_not_written_to():
    prompts, output = batch(["a"], [2])
    original = output.batch["rm_scores"]
    add_to_rewards(output, read_groups(prompts, output), {"a": np.array([1.0])})
    assert original.sum() == 0


def test_what_we_attach_for_the_driver_does_not_go_on_to_the_trainer():
    vectors = np.zeros((1, 4), dtype=np.float16)
    times = np.array([1.0])
    _, output = batch(["a"], [2], sparft_embedding=vectors, sparft_scored_at=times)
    drop_ours(output)
    assert output.meta_info["reward_extra_keys"] == ["acc"]
    assert set(output.non_tensor_batch) == {"acc", "min_global_steps", "reward_extra_info"}
    assert output.non_tensor_batch["reward_extra_info"][0] == {"acc": 0.0}


def test_a_batch_without_rewards_is_refused():
    prompts, output = batch(["a"], [2])
    del output.batch["rm_scores"]
    with pytest.raises(SparftError, match="without rm_scores; sparft needs a reward function"):
        read_groups(prompts, output)


def test_an_agent_loop_with_several_outputs_is_refused():
    prompts, _ = batch(["a"], [2])
    _, output = batch(["a", "a"], [2, 2])
    with pytest.raises(SparftError, match="1 rollouts were asked for and 2 came back"):
        read_groups(prompts, output)
