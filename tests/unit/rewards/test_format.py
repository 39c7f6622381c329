"""The format that was asked for, over several lines, and marked steps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.rewards.layout import format_rate, soft_format, steps_rate, strict_format

STRICT = "<reasoning>\none\n\ntwo\n</reasoning>\n<answer>\n5\n</answer>"


THINK = STRICT.replace("reasoning", "think")


@pytest.mark.parametrize(
    "response",
    [
        STRICT,
        STRICT + "\n",
        THINK,
        THINK.removeprefix("<think>"),
        THINK.removeprefix("<think>\n"),
        "\n" + STRICT,
        STRICT.replace("\n", "\r\n"),
        STRICT.replace("\n", " \n") + " ",
        STRICT.replace("</reasoning>\n", "</reasoning>\n\n"),
    ],
)
def test_the_format_over_several_lines_is_strict(response: str) -> None:
    assert strict_format(response)
    assert format_rate(response) == 1.0


@pytest.mark.parametrize(
    "response",
    [
        "<reasoning>one</reasoning><answer>5</answer>",
        "<reasoning>one\ntwo</reasoning>\n\n<answer>5</answer>",
        "Well: " + STRICT,
        STRICT + " done",
        STRICT.replace("</reasoning>\n", "</reasoning> "),
        STRICT.replace("5\n", "5"),
        "Well: " + THINK.removeprefix("<think>\n").replace("\n</think>", "</think>"),
    ],
)
def test_a_looser_layout_is_soft_only(response: str) -> None:
    assert soft_format(response)
    assert not strict_format(response)
    assert format_rate(response) == 0.5


@pytest.mark.parametrize(
    "response",
    [
        "",
        "5",
        "<answer>5</answer>",
        "<reasoning>a</reasoning>",
        "<answer>5</answer><reasoning>a</reasoning>",
        "<reasoning>a<answer>5</answer></reasoning>",
        "<reasoning> </reasoning><answer>5</answer>",
        "<reasoning>a</reasoning><answer>\n</answer>",
        STRICT + STRICT,
        STRICT + "<answer>",
        STRICT + "</reasoning>",
        "<think>a</think>" + STRICT,
        STRICT.upper(),
        STRICT.removeprefix("<reasoning>"),
        THINK.removeprefix("<think>").replace("</think>", ""),
    ],
)
def test_a_missing_empty_repeated_or_misplaced_block_is_not_the_format(response: str) -> None:
    assert format_rate(response) == 0.0


inside = st.text(max_size=60).filter(lambda text: text.strip() and "<" not in text)


@given(inside, inside)
def test_whatever_stands_between_the_tags_the_format_is_strict(thought: str, answer: str) -> None:
    assert strict_format(f"<reasoning>\n{thought}\n</reasoning>\n<answer>\n{answer}\n</answer>")


@pytest.mark.parametrize(
    ("response", "rate"),
    [
        ("", 0),
        ("Step 1: a", 1 / 3),
        ("Step 1: a\nStep 2: b", 2 / 3),
        ("Step 1: a\nStep 2: b\nStep 3: c\nStep 4: d", 1),
        ("1. a\n2) b\n- c", 1),
        ("First, a\nThen b\nFinally c", 1),
        ("**Step 1** a\n### Step 2 b", 2 / 3),
        ("Step 1: a\nStep 1: a\nStep 1: a", 1 / 3),
        ("In Step 1, 2. and First", 0),
        ("Stepwise\n1.5 apples\n-5", 0),
        ("Step ١: a", 0),
    ],
)
def test_steps_are_lines_with_a_mark_each_counted_once(response: str, rate: float) -> None:
    assert steps_rate(response) == pytest.approx(rate)
