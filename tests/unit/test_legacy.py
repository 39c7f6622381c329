"""Batches of verl's legacy trainer that a run refuses or pays with care.

``tests/contract/test_hosts.py`` has the others.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from verl import DataProto

from sparft_plugin.config.accuracy import AccuracyRule
from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl.legacy import add_to_rewards
from sparft_plugin.hosts.verl.legacy import read_groups as read

WIDTH, PROMPT = 5, 3
read_groups = partial(read, accuracy=AccuracyRule(), rollouts=1)


def batch(rows, length):
    """Prompts of one group and what came back, with responses of a length."""
    mask = torch.zeros(rows, PROMPT + WIDTH, dtype=torch.int64)
    mask[:, : PROMPT + length] = 1
    tag = {"sparft": {"id": "prompt", "arm": 0, "difficulty": None, "pick": 0}}
    names = {"uid": ["a"] * rows, "extra_info": [tag] * rows}
    prompts = DataProto.from_dict(
        non_tensors={key: np.array(values, dtype=object) for key, values in names.items()}
    )
    output = DataProto.from_dict(
        tensors={
            "prompts": torch.zeros(rows, PROMPT, dtype=torch.int64),
            "attention_mask": mask,
            "rm_scores": torch.zeros(rows, WIDTH),
        },
        meta_info={"reward_extra_keys": [], "timing": {}},
    )
    return prompts, output


def test_an_empty_response_is_paid_where_verl_puts_its_outcome():
    """verl counts back from the response's first token and so writes to the last column."""
    prompts, output = batch(1, length=0)
    add_to_rewards(output, read_groups(prompts, output), {"a": np.array([0.5])})
    assert output.batch["rm_scores"][0].tolist() == [0, 0, 0, 0, 0.5]


def test_a_batch_without_rewards_is_refused():
    prompts, output = batch(1, length=2)
    del output.batch["rm_scores"]
    with pytest.raises(SparftError, match="without rm_scores; sparft needs a reward function"):
        read_groups(prompts, output)


def test_an_agent_loop_with_several_outputs_is_refused():
    prompts, _ = batch(1, length=2)
    _, output = batch(2, length=2)
    with pytest.raises(SparftError, match="1 rollouts were asked for and 2 came back"):
        read_groups(prompts, output)
