"""Angle concentration against a naive matrix of cosines, on the quickstart's transformer."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from sparft_plugin.difficulty.angles import Prefill
from sparft_plugin.difficulty.measure import Tokens
from sparft_plugin.errors import SparftError

MODEL = Path(__file__).parents[2] / "recipes" / "quickstart" / "model"
CHAT = [
    {"role": "system", "content": "Add the numbers."},
    {"role": "user", "content": "What is 2 + 2?"},
    {"role": "assistant", "content": "4"},
    {"role": "user", "content": "  What is 3 + 4, dear model?\n"},
]


@pytest.fixture(scope="module")
def prefill():
    return Prefill(str(MODEL), device="cpu")


def test_the_question_is_the_last_user_message_without_its_template(prefill):
    tokens = prefill.tokenize(CHAT, "here")
    parts = np.split(tokens.ids, [tokens.start, tokens.stop])
    before, question, after = map(prefill._tokenizer.decode, parts)
    assert question == "What is 3 + 4, dear model?"
    assert after.strip().endswith("<|assistant|>")
    assert "2 + 2" in before
    assert prefill.longest == 160


def test_angles_equal_the_naive_means_whatever_is_in_the_batch(prefill):
    import torch
    from transformers import AutoModelForCausalLM

    whole = AutoModelForCausalLM.from_pretrained(MODEL)
    batch = [
        prefill.tokenize(CHAT, "here"),
        prefill.tokenize([{"role": "user", "content": "Why?"}], "here"),
        Tokens([5, 6, 7, 8], 0, 3),
        Tokens([9], 0, 1),
    ]
    for tokens, angle in zip(batch, prefill.angles(batch), strict=True):
        with torch.inference_mode():
            output = whole(torch.tensor([tokens.ids]), output_hidden_states=True)
        hidden = output.hidden_states[-1][0].double().numpy()
        unit = hidden / np.linalg.norm(hidden, axis=1, keepdims=True)
        cosines = unit @ unit.T
        question = slice(tokens.start, tokens.stop)
        inter = cosines[question, : tokens.start].mean() if tokens.start else 0.0
        assert tuple(angle) == pytest.approx((cosines[question, question].mean(), inter), abs=1e-5)
        assert angle.angle == angle.intra + angle.inter
        assert prefill.angles([tokens])[0] == pytest.approx(angle, abs=1e-5)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{% for m in messages %}{{ m.content | upper }}{% endfor %}", "changes the last user me"),
        ("{{ raise_exception('no system role') }}", r"refuses the prompt \(no system role\)"),
    ],
)
def test_a_template_that_changes_or_refuses_the_question_is_named_with_the_row(
    tmp_path, template, reason
):
    shutil.copytree(MODEL, tmp_path / "loud")
    (tmp_path / "loud" / "chat_template.jinja").write_text(template)
    model = Prefill(str(tmp_path / "loud"), device="cpu")
    with pytest.raises(SparftError, match=rf"^a.parquet, row 3: .*{reason}"):
        model.tokenize([{"role": "user", "content": "Quiet?"}], "a.parquet, row 3")
    with pytest.raises(SparftError, match="cannot be loaded"):
        Prefill(str(tmp_path))
