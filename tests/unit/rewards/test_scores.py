"""What the verifiers of Memory-R pay beside accuracy: format, integer, marked steps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.errors import SparftError
from sparft_plugin.rewards import competition, exact, gsm8k, math_answer
from sparft_plugin.rewards.competition import steps_rate
from sparft_plugin.rewards.gsm8k import format_rate, is_integer

STRICT = "<reasoning>\none\n\ntwo\n</reasoning>\n<answer>\n5\n</answer>"
THINK = STRICT.replace("reasoning", "think")
UNOPENED = THINK.removeprefix("<think>\n")


@pytest.mark.parametrize(
    ("rate", "responses"),
    [
        (1.0, [STRICT, STRICT + "\n", "\n" + STRICT, THINK, "\n" + UNOPENED, UNOPENED]),
        (1.0, [STRICT.replace("\n", "\r\n"), STRICT.replace("\n", " \n") + " "]),
        (1.0, [STRICT.replace("</reasoning>\n", "</reasoning>\n\n")]),
        (0.5, ["<reasoning>one</reasoning><answer>5</answer>"]),
        (0.5, ["<reasoning>one\ntwo</reasoning>\n\n<answer>5</answer>"]),
        (0.5, ["Well: " + STRICT, STRICT + " done", STRICT.replace("5\n", "5")]),
        (0.5, [STRICT.replace("</reasoning>\n", "</reasoning> ")]),
        (0.5, ["Well: " + UNOPENED.replace("\n</think>", "</think>")]),
        (0, ["", "5", "<answer>5</answer>", "<reasoning>a</reasoning>"]),
        (0, ["<answer>5</answer><reasoning>a</reasoning>"]),
        (0, ["<reasoning>a<answer>5</answer></reasoning>"]),
        (0, ["<reasoning> </reasoning><answer>5</answer>"]),
        (0, ["<reasoning>a</reasoning><answer>\n</answer>"]),
        (0, [STRICT + STRICT, STRICT + "<answer>", STRICT + "</reasoning>", STRICT.upper()]),
        (0, ["<think>a</think>" + STRICT, STRICT.removeprefix("<reasoning>")]),
        (0, [UNOPENED.replace("</think>", "")]),
    ],
)
def test_the_format_is_strict_soft_or_none(rate, responses):
    assert [format_rate(response) for response in responses] == [rate] * len(responses)


inside = st.text(max_size=60).filter(lambda text: text.strip() and "<" not in text)


@given(inside, inside)
def test_whatever_stands_between_the_tags_the_format_is_strict(thought, answer):
    response = f"<reasoning>\n{thought}\n</reasoning>\n<answer>\n{answer}\n</answer>"
    assert format_rate(response) == 1


@pytest.mark.parametrize(
    ("thirds", "responses"),
    [
        (0, ["", "In Step 1, 2. and First", "Stepwise\n1.5 apples\n-5", "Step ١: a"]),
        (1, ["Step 1: a", "Step 1: a\nStep 1: a\nStep 1: a"]),
        (2, ["Step 1: a\nStep 2: b", "**Step 1** a\n### Step 2 b"]),
        (3, ["Step 1: a\nStep 2: b\nStep 3: c\nStep 4: d", "1. a\n2) b\n- c"]),
        (3, ["First, a\nThen b\nFinally c"]),
    ],
)
def test_steps_are_lines_with_a_mark_each_counted_once(thirds, responses):
    assert {steps_rate(response) for response in responses} == {thirds / 3}


@pytest.mark.parametrize(
    ("whole", "answers"),
    [
        (True, ["0", "42", "-7", "+7", "1,000", "12,345,678"]),
        (False, [None, "", "4.0", "4 2", "²", "٤٢", "４", "1,00", "1e3", "x", "4\n", "--4"]),
    ],
)
def test_only_ascii_digits_are_an_integer(whole, answers):
    assert [answer for answer in answers if is_integer(answer) != whole] == []


@pytest.mark.parametrize(
    ("response", "score", "parts"),
    [
        (STRICT, 2.5, (1, 1, 1, 1)),
        (STRICT.replace("\n5\n", "\n8\n"), 1.5, (0, 1, 1, 1)),
        (STRICT.replace("\n5\n", "\nseven\n"), 1.0, (0, 1, 1, 0)),
        ("<reasoning>a</reasoning><answer>5</answer>", 2.0, (1, 1, 0.5, 1)),
        ("#### 5", 1.5, (1, 1, 0, 1)),
        (STRICT + STRICT, 0.0, (0, 0, 0, 0)),
    ],
)
def test_gsm8k_pays_for_correctness_format_and_integer(response, score, parts):
    named = dict(zip(("acc", "answered", "format", "integer"), parts, strict=True))
    assert gsm8k.compute_score("gsm8k", response, "5") == {"score": score, **named}
    weighed = gsm8k.compute_score("gsm8k", response, "5", format_weight=0.2, integer_weight=0.0)
    assert weighed == {"score": pytest.approx(parts[0] + 0.2 * parts[2]), **named}


def test_competition_pays_for_an_equal_answer_and_marked_steps():
    response = "Step 1: square\nStep 2: add\n\\boxed{\\sqrt{12}}"
    assert competition.compute_score("aimo", response, r"2\sqrt{3}", seconds=30) == {
        "score": pytest.approx(1 + 0.5 * 2 / 3),
        "acc": 1.0,
        "answered": 1.0,
        "overtime": 0.0,
        "steps": pytest.approx(2 / 3),
    }


def test_what_verl_adds_beside_a_reward_model_is_no_option():
    parts = exact.compute_score("set", "#### 7", "7", None, reward_router_address="host:1")
    assert parts == {"score": 1.0, "acc": 1.0, "answered": 1.0}


@pytest.mark.parametrize(
    ("module", "truth", "options", "message"),
    [
        (gsm8k, "5", {"fromat_weight": 1.0}, "reward_kwargs option of gsm8k 'fromat_weight'"),
        (gsm8k, "5", {"format_weight": -1.0}, "reward_kwargs.format_weight must be"),
        (gsm8k, "", {}, r"ground truth '' of a row of 'gsm8k'"),
        *(
            (math_answer, "5", {"seconds": s}, "seconds must be a finite number > 0")
            for s in (0, "1")
        ),
    ],
)
def test_a_bad_option_or_row_is_named(module, truth, options, message):
    with pytest.raises(SparftError, match=message):
        module.compute_score("gsm8k", STRICT, truth, **options)
