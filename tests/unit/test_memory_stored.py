"""Which text of a response stands for it."""

from __future__ import annotations

import pytest

from sparft_plugin.memory.stored import stored_text

XML = "<reasoning>\n2 + 2 is 4\n</reasoning>\n<answer>\n4\n</answer>"


def test_the_whole_response_is_unchanged():
    assert stored_text(f" {XML}\n", "response") == f" {XML}\n"


@pytest.mark.parametrize(
    ("response", "reasoning"),
    [
        (XML, "2 + 2 is 4"),
        ("<think>so it is 4</think>4", "so it is 4"),
        ("so it is 4</think>4", "so it is 4"),
        ("<reasoning>cut off by the lim", "cut off by the lim"),
        ("<reasoning>a</reasoning><reasoning>b</reasoning>c", "b"),
        ("<think>a</think><reasoning>b</reasoning>", "b"),
        ("<reasoning></reasoning>4", ""),
        ("  the answer is 4 ", "the answer is 4"),
        ("<answer>4</answer>", "<answer>4</answer>"),
        ("<REASONING>a</REASONING>", "<REASONING>a</REASONING>"),
        ("", ""),
    ],
)
def test_the_reasoning_is_what_stands_between_its_tags(response, reasoning):
    assert stored_text(response, "reasoning") == reasoning
