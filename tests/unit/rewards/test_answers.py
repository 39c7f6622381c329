"""Where the one answer of a response is looked for, and when there is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.errors import SparftError
from sparft_plugin.rewards.extract import LONGEST, boxes, extract_answer, read_truth

plain = st.text(alphabet="abc123+-^ ", min_size=1, max_size=40).filter(str.strip)


@pytest.mark.parametrize(
    ("answer", "responses"),
    [
        ("5", ["<answer> 5 </answer>", "<answer>5</answer> \\boxed{6} #### 7", "#### **5**"]),
        ("5", ["<answer>$5$</answer>", "<answer>$$5$$</answer>", "<answer>\\[5\\]</answer>"]),
        ("5", ["\\boxed{ 5 } and \\boxed{5}", "\\\\\\boxed{5}", "so $\\boxed 5$", "\\fbox{5}"]),
        ("6", ["\\boxed{6} #### 7"]),
        ("7", ["one\n#### 7\ntwo"]),
        ("2", ["<think>\\boxed{1}</think>\\boxed{2}", "\\boxed{1}</think>\\boxed{2}"]),
        ("\\frac{1}{2}", ["\\boxed{\\frac{1}{2}}"]),
        ("\\dfrac12", ["\\boxed{\\dfrac12} is \\boxed{\\frac{1}{2}}"]),
        ("\\{1\\}", ["\\boxed{\\{1\\}}"]),
        ("[1,2\\}", ["\\boxed{[1,2\\}}"]),
        ("yes", ["<answer>yes.</answer>"]),
        ("7" * LONGEST, ["<answer>" + "7" * LONGEST + "</answer>"]),
        (None, ["<answer>" + "7" * (LONGEST + 1) + "</answer>", "<answer></answer>", "5"]),
        (None, ["<answer>5</answer><answer>5</answer>", "\\boxed{5}</answer>", "\\boxed"]),
        (None, ["\\boxed{5}\\boxed{6}", "\\boxed{5}\\fbox{6}", "\\boxed{\\boxed{5}}"]),
        (
            None,
            ["\\\\boxed{5}", "\\boxed{5} \\boxed{", "\\boxed{5}\\boxed{" + "1" * LONGEST + "1}"],
        ),
        (None, ["<think>\\boxed{5}", "#### 5 #### 5", "##### 5"]),
    ],
)
def test_the_answer_is_the_one_that_the_rules_name(answer, responses):
    assert [extract_answer(response) for response in responses] == [answer] * len(responses)


@given(plain, plain)
def test_what_is_boxed_comes_out_of_any_text(inner, around):
    assert list(boxes(f"{around}\\boxed{{{inner}}}{around}", 100)) == [inner]


@given(st.text(alphabet="{}\\box ed<answer>/#5$\n", max_size=200))
def test_any_text_gives_a_short_answer_or_none(response):
    answer = extract_answer(response)
    assert answer is None or (0 < len(answer) <= LONGEST and answer in response)


def test_a_ground_truth_is_read_like_an_answer():
    given = ["5", 5, 2.5, "so\n#### 5", "\\boxed{5}", "$x$"]
    assert [read_truth(each, "set") for each in given] == ["5", "5", "2.5", "5", "5", "x"]


@pytest.mark.parametrize("given", [None, "", " ", "####", True, ["5"], {"a": 1}, "7" * 301])
def test_a_ground_truth_that_no_response_can_meet_is_refused(given):
    with pytest.raises(SparftError, match="ground truth .* of a row of 'set' is no answer"):
        read_truth(given, "set")
