"""verl's own loader and reward manager find these functions and keep their parts."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

torch = pytest.importorskip("torch")
verl = pytest.importorskip("verl", reason="needs verl: pip install 'sparft-plugin[verl]'")

from omegaconf import OmegaConf  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402
from verl.trainer.ppo.reward import load_reward_manager  # noqa: E402

RESPONSE = "<reasoning>\n3 + 4\n</reasoning>\n<answer>\n7\n</answer>"


def scored(folder, module, version, response=RESPONSE, truth="7", question=None, **options):
    """Score a response as a reward worker does, for weights of a version."""
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": question}]
    reward = {
        "custom_reward_function": {
            "path": f"pkg://sparft_plugin.rewards.{module}",
            "name": "compute_score",
            "reward_kwargs": options,
        },
        "reward_manager": {"source": "register", "name": "naive"},
    }
    policy = AutoTokenizer.from_pretrained(folder)
    ids = policy.encode(response, add_special_tokens=False)
    rollout = verl.DataProto.from_dict(
        tensors={
            "prompts": torch.ones((1, 2), dtype=torch.int64),
            "responses": torch.tensor([ids]),
            "attention_mask": torch.ones((1, 2 + len(ids)), dtype=torch.int64),
        },
        non_tensors={
            "data_source": np.array(["openai/gsm8k"], dtype=object),
            "reward_model": np.array([{"ground_truth": truth}], dtype=object),
            "extra_info": np.array([{"index": 0}], dtype=object),
            "tool_extra_fields": np.array(
                [{"max_global_steps": version, "raw_prompt": messages}], dtype=object
            ),
        },
    )

    async def work():
        config = OmegaConf.create({"policy": folder, "reward": reward})
        return await load_reward_manager(config, policy).run_single(rollout)

    return asyncio.run(work())


def test_a_function_is_found_by_name_works_in_the_managers_executor_and_keeps_its_parts(tokenizer):
    result = scored(tokenizer, "gsm8k", 0, integer_weight=0.25)
    parts = {"score": 2.25, "acc": 1.0, "answered": 1.0, "format": 1.0, "integer": 1.0}
    assert result == {"reward_score": 2.25, "reward_extra_info": parts}
    assert scored(tokenizer, "competition", 0, steps_weight=0.0)["reward_score"] == 1.0


@pytest.mark.parametrize(("version", "budget"), [(0, 128.0), (9, 128.0), (10, 64.0), (25, 32.0)])
def test_the_budget_follows_the_version_that_verl_names(tokenizer, version, budget):
    options = {"start": 128, "decay": 0.5, "every": 10, "verifier_kwargs": {"format_weight": 0.0}}
    result = scored(tokenizer, "length_budget", version, tokenizer="${policy}", **options)
    parts, n = result["reward_extra_info"], len(RESPONSE)
    assert (parts["budget"], parts["tokens"]) == (budget, n)
    assert parts["length"] == pytest.approx(max(0.0, 1 - abs(n - budget) / budget))
    assert result["reward_score"] == pytest.approx(1.5 + 0.5 * parts["length"])


@pytest.mark.parametrize(
    ("question", "acc"), [(None, 1.0), ("Simplify $\\sqrt{12}$.", 0.0), ("How long is it?", 1.0)]
)
def test_the_question_that_verl_hands_on_tells_undone_work(tokenizer, question, acc):
    boxed, truth = "\\boxed{\\sqrt{12}}", "2\\sqrt{3}"
    result = scored(tokenizer, "math_answer", 0, boxed, truth, question, seconds=30.0)
    assert result["reward_extra_info"]["acc"] == acc
