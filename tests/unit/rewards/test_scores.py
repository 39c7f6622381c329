"""What the two verifiers of Memory-R pay, part by part."""

from __future__ import annotations

import pytest

from sparft_plugin.errors import SparftError
from sparft_plugin.rewards import competition, exact, gsm8k

FORMATTED = "<reasoning>\n3 + 4\nis 7\n</reasoning>\n<answer>\n7\n</answer>"


@pytest.mark.parametrize(
    ("response", "score", "acc", "layout", "integer", "answered"),
    [
        (FORMATTED, 2.5, 1, 1, 1, 1),
        (FORMATTED.replace("\n7\n", "\n8\n"), 1.5, 0, 1, 1, 1),
        (FORMATTED.replace("\n7\n", "\nseven\n"), 1.0, 0, 1, 0, 1),
        ("<reasoning>a</reasoning><answer>7</answer>", 2.0, 1, 0.5, 1, 1),
        ("#### 7", 1.5, 1, 0, 1, 1),
        (FORMATTED + FORMATTED, 0.0, 0, 0, 0, 0),
        ("7", 0.0, 0, 0, 0, 0),
    ],
)
def test_gsm8k_pays_for_correctness_format_and_integer(
    response: str, score: float, acc: float, layout: float, integer: float, answered: float
) -> None:
    assert gsm8k.compute_score("gsm8k", response, "7") == {
        "score": score,
        "acc": acc,
        "answered": answered,
        "format": layout,
        "integer": integer,
    }


def test_weights_change_the_score_and_not_the_parts() -> None:
    parts = gsm8k.compute_score("gsm8k", FORMATTED, "7", format_weight=0.2, integer_weight=0.0)

    assert parts["score"] == pytest.approx(1.2)
    assert (parts["acc"], parts["format"], parts["integer"]) == (1.0, 1.0, 1.0)


def test_competition_pays_for_an_equal_answer_and_marked_steps() -> None:
    response = "Step 1: square\nStep 2: add\n\\boxed{\\sqrt{12}}"

    parts = competition.compute_score("aimo", response, r"2\sqrt{3}", seconds=30)

    assert parts["acc"] == parts["answered"] == 1.0
    assert parts["overtime"] == 0.0
    assert parts["steps"] == pytest.approx(2 / 3)
    assert parts["score"] == pytest.approx(1 + 0.5 * 2 / 3)


def test_what_verl_adds_beside_a_reward_model_is_no_option() -> None:
    parts = exact.compute_score("set", "#### 7", "7", None, reward_router_address="host:1")

    assert parts == {"score": 1.0, "acc": 1.0, "answered": 1.0}


def test_a_bad_option_or_row_is_named() -> None:
    with pytest.raises(SparftError, match="unknown reward_kwargs option of gsm8k 'fromat_weight'"):
        gsm8k.compute_score("gsm8k", FORMATTED, "7", fromat_weight=1.0)
    with pytest.raises(SparftError, match="reward_kwargs.format_weight must be"):
        gsm8k.compute_score("gsm8k", FORMATTED, "7", format_weight=-1.0)
    with pytest.raises(SparftError, match=r"ground truth '' of a row of 'openai/gsm8k'"):
        gsm8k.compute_score("openai/gsm8k", FORMATTED, "")
