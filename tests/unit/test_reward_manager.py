"""Verl's own managers inside ours: what a training rollout gets, and how it is encoded."""

from __future__ import annotations

from unittest.mock import Mock

import numpy as np
import pytest

from sparft_plugin import SparftError
from sparft_plugin.hosts.verl import reward_manager as module
from tests.unit.reward_rollouts import (
    END,
    LIMIT,
    MEMORY,
    Encoder,
    extras,
    fault,
    letters,
    returns,
    rollout,
    score,
    torch,
    verl,
)


@pytest.fixture
def encoder(monkeypatch):
    made = Encoder()
    made.build = Mock(return_value=made)
    monkeypatch.setattr(module, "memory_encoder", made.build)
    return made


def test_without_a_memory_a_training_rollout_gets_accuracy_and_length():
    (result,) = score(returns({"score": 2.5, "acc": 1.0, "format": 0.5}), rollout(letters("abc")))
    assert result["reward_score"] == 2.5
    assert result["reward_extra_info"] == {
        "score": 2.5,
        "acc": 1.0,
        "format": 0.5,
        "sparft_source": "acc",
        "sparft_score": 2.5,
        "sparft_tokens": 4,
        "sparft_at_limit": False,
    }


@pytest.mark.parametrize("training", [True, False])
def test_the_reward_function_is_told_the_prompt(training):
    data, seen = rollout(letters("abc"), training=training), []
    data.non_tensor_batch["raw_prompt"] = np.array([[{"role": "user", "content": "why?"}]])

    def function(extra_info, **_):
        seen.extend(extra_info["raw_prompt"])
        return {"score": 1.0, "acc": 1.0}

    score(function, data)
    assert seen == [{"role": "user", "content": "why?"}]


@pytest.mark.parametrize("told", [True, False])
def test_a_response_that_fills_the_limit_is_marked(told):
    both = [rollout([97] * length, told=told) for length in (LIMIT, LIMIT - 1)]
    told_of = [(e["sparft_tokens"], e["sparft_at_limit"]) for e in extras(returns(0.0), *both)]
    assert told_of == [(6, True), (5, False)]


def test_of_several_outputs_the_last_ones_own_length_counts():
    # As verl 0.9 pads them: prompt and response as one on the right.
    tensors = {
        "prompts": [[7] * 5, [7, 7, 0, 0, 0]],
        "responses": [[97, 98, 0, 0], [97, 98, 99, END]],
        "attention_mask": [[1] * 7, [1] * 6 + [0]],
    }
    names = {
        "data_source": ["toy"] * 2,
        "reward_model": [{"ground_truth": "x"}] * 2,
        "extra_info": [{"sparft": {"id": "a"}}] * 2,
        "response_len": [2, 4],
    }
    data = verl.DataProto.from_dict(
        tensors={name: torch.tensor(rows) for name, rows in tensors.items()},
        non_tensors={name: np.array(values) for name, values in names.items()},
    )
    (extra,) = extras(returns(1.0), data)
    assert extra["sparft_tokens"] == 4


def test_a_validation_rollout_is_left_as_the_recipe_scored_it(encoder):
    (result,) = score(returns(7.0), rollout(letters("abc"), training=False), memory=MEMORY)
    assert result == {"reward_score": 7.0, "reward_extra_info": {"acc": 7.0}}
    assert encoder.texts == []


@pytest.mark.parametrize("options", [None, {"precision": "bfloat16", "batch_tokens": 64}])
def test_with_a_memory_the_response_is_encoded_and_told_when_and_by_whom(encoder, options):
    data = rollout(letters("abc"))
    (extra,) = extras(returns(1.0), data, memory=MEMORY, encoder_options=options)
    assert extra["sparft_embedding"].dtype == np.float16
    assert extra["sparft_embedding"].tolist() == [3, 1]
    assert 0 < extra["sparft_scored_at"] <= extra["sparft_embedded_at"]
    assert extra["sparft_encoder"] == "toy@1"
    assert extra["sparft_blank"] is False
    # Options reach the encoder as plain values.
    encoder.build.assert_called_once_with("toy", options)
    assert type(encoder.build.call_args.args[1]) is type(options)


def test_the_reasoning_alone_is_encoded_where_it_is_what_is_stored(encoder):
    text = "<think> ab </think>c"
    whole, reasoning = (
        extras(returns(1.0), rollout(letters(text)), memory={**MEMORY, "stored": stored})
        for stored in ("response", "reasoning")
    )
    assert encoder.texts == [text, "ab"]
    assert whole[0]["sparft_tokens"] == reasoning[0]["sparft_tokens"] == len(text) + 1


@pytest.mark.parametrize("ids", [[], [END], [2, 2, END]])
def test_empty_and_special_tokens_only_count_as_the_empty_text(encoder, ids):
    blank, other = extras(returns(0.0), rollout(ids), rollout(letters("a")), memory=MEMORY)
    assert encoder.texts == ["", "a"]
    assert (blank["sparft_blank"], other["sparft_blank"]) == (True, False)
    assert blank["sparft_embedding"].tolist() == [0, 1]
    assert blank["sparft_tokens"] == len(ids)


@pytest.mark.parametrize(("value", "wrong"), [(np.nan, "not finite"), (0, "zero")])
def test_an_embedding_without_a_direction_is_refused(encoder, monkeypatch, value, wrong):
    monkeypatch.setattr(encoder, "encode", lambda texts: np.array([[value, 0]], np.float32))
    told = fault(returns(1.0), rollout(letters("a" * 50)), memory=MEMORY)
    # Of a long text only the beginning is told.
    assert f"toy@1 gave the response '{'a' * 40}...' an embedding that is {wrong};" in told


def test_an_error_of_the_encoder_fails_its_rollout_and_the_next_one_works(encoder, monkeypatch):
    works = encoder.encode

    def encode(texts):
        if "bad" in texts:
            raise RuntimeError("out of memory")
        return works(texts)

    monkeypatch.setattr(encoder, "encode", encode)
    both = [rollout(letters(text)) for text in ("bad", "good")]
    bad, good = extras(returns(1.0), *both, memory=MEMORY)
    assert bad["sparft_fault"].startswith(
        "row 12 of data.train_files: the memory's encoder toy raised RuntimeError: out of memory;"
    )
    assert good["sparft_embedding"].tolist() == [4, 1]


def test_a_worker_whose_encoder_is_missing_says_so_for_each_rollout(monkeypatch):
    sentence = "the encoder toy is not installed; install it on every node."
    monkeypatch.setattr(module, "memory_encoder", Mock(side_effect=SparftError(sentence)))
    told = fault(returns(1.0), rollout(letters("abc")), memory=MEMORY)
    assert told == f"row 12 of data.train_files: {sentence}"
