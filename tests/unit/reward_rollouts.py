"""Rollouts as verl's agent loop hands them to a reward worker, and a manager to score them."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from sparft_plugin.hosts.verl import reward_manager as module

verl = pytest.importorskip("verl")
torch = pytest.importorskip("torch")

END, LIMIT = 1, 6


class Tokenizer:
    """Letters by their code points; 1 ends a response and 2 is another special token."""

    def decode(self, ids, skip_special_tokens):
        assert skip_special_tokens
        return "".join(chr(i) for i in ids.tolist() if i > 2)


class Encoder:
    """The vector of a text is its length and 1; remembers what it was asked."""

    identity = "toy@1"

    def __init__(self):
        self.texts = []

    def encode(self, texts):
        self.texts += texts
        return np.array([[len(text), 1.0] for text in texts], dtype=np.float32)


def config(*, memory=None, wraps="naive", use_v1=True, encoder_options=None, accuracy=None):
    from omegaconf import OmegaConf

    return OmegaConf.create(
        {
            "actor_rollout_ref": {"rollout": {"response_length": LIMIT}},
            "reward": {"reward_kwargs": {}},
            "trainer": {"use_v1": use_v1, "experiment_name": "tests"},
            "sparft": {
                "accuracy": accuracy,
                "memory": memory,
                "memory_encoder": encoder_options or {},
                "wraps": {"reward_manager": {"source": "register", "name": wraps, "path": None}},
            },
        }
    )


def rollout(ids, *, training=True, told=True):
    """One finished rollout as verl's agent loop hands it to a reward worker."""
    responses = torch.tensor([ids], dtype=torch.int64)
    prompt = torch.zeros((1, 3), dtype=torch.int64)
    extra = {"sparft": {"id": "a", "row": 12}} if training else {}
    other = {
        "data_source": np.array(["toy"]),
        "reward_model": np.array([{"ground_truth": "x"}]),
        "extra_info": np.array([extra]),
    }
    if told:
        other["response_len"] = np.array([len(ids)])
    return verl.DataProto.from_dict(
        tensors={
            "prompts": prompt,
            "responses": responses,
            "attention_mask": torch.ones((1, 3 + len(ids)), dtype=torch.int64),
        },
        non_tensors=other,
    )


def letters(text):
    return [*map(ord, text), END]


async def scored(function, *rollouts, **settings):
    """Results of one manager for several rollouts; made inside the loop, as in a reward worker."""
    manager = module.FeedbackRewardManager(config(**settings), Tokenizer(), function)
    return [await manager.run_single(data) for data in rollouts]


def score(function, *rollouts, **settings):
    return asyncio.run(scored(function, *rollouts, **settings))


def extras(function, *rollouts, **settings):
    return [result["reward_extra_info"] for result in score(function, *rollouts, **settings)]


def fault(function, data, **settings):
    """The sentence that a rollout brings back instead of a score."""
    (result,) = score(function, data, **settings)
    assert result["reward_score"] == 0.0
    (key,) = result["reward_extra_info"]
    assert key == "sparft_fault"
    return result["reward_extra_info"][key]


MEMORY = {"name": "memory_r", "encoder": "toy"}


def returns(result):
    return lambda **_: result
