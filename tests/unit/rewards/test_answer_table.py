"""What is right in another notation is paid, and what only looks right is not.

``answers.jsonl`` holds right and wrong answers to one truth a line. The design part grew while the
rules were written; the held out part was written before them and first scored when they were.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sparft_plugin.rewards import exact, math_answer

ROWS = [
    json.loads(line)
    for line in (Path(__file__).parent / "answers.jsonl").read_text(encoding="utf-8").splitlines()
]
# What the rules get wrong, as documented.
REFUSED = {
    "1000000 <- 10^6",
    r"8 <- 8\frac{\text{km}}{\text{h}}",
    r"\frac{3\pi}{4} <- 0.75\pi",
    "July 4, 1776 <- July 4 1776",
}
PAID = {r"12x <- 3x\cdot 4", r"6x^5 <- 2x^2\cdot 3x^3"}
MARKS = ("\\boxed", "\\fbox", "###", "<answer>")


def response(row: dict[str, Any], answer: str) -> str:
    """Put an answer into a box, unless it has a mark or is about marks."""
    marked = row["kind"] == "marks" or any(mark in answer for mark in MARKS)
    return answer if marked else f"So it is \\boxed{{{answer}}}."


def judged(module: Any, half: str, **options: float) -> tuple[str, list[str], list[str]]:
    """Return a table by kind, what was refused though right, and paid though wrong."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    refused, paid = [], []
    for row in (row for row in ROWS if row["half"] == half):
        info = {"question": row["question"]} if "question" in row else {}
        for column, kind in enumerate(("right", "wrong")):
            for answer in row.get(kind, ()):
                text = response(row, answer)
                acc = module.compute_score("table", text, row["truth"], info, **options)["acc"]
                counts[row["kind"]][2 * column] += int(acc)
                counts[row["kind"]][2 * column + 1] += 1
                if acc != (kind == "right"):
                    (paid if acc else refused).append(f"{row['truth']} <- {answer}")
    lines = [f"{k}: {a} of {b} right, {c} of {d} wrong" for k, (a, b, c, d) in counts.items()]
    return "\n".join(["paid", *lines, "refused:", *refused, "paid wrong:", *paid]), refused, paid


def test_the_table_is_large_and_has_both_halves() -> None:
    for half in ("design", "held out"):
        rows = [row for row in ROWS if row["half"] == half]
        assert sum(len(row.get("right", ())) for row in rows) >= 200
        assert sum(len(row.get("wrong", ())) for row in rows) >= 200
        assert len({row["kind"] for row in rows}) >= 25


@pytest.mark.parametrize("half", ["design", "held out"])
def test_math_answer_pays_right_answers_and_no_wrong_ones(half: str) -> None:
    table, refused, paid = judged(math_answer, half, seconds=30.0)

    assert (set(refused) - REFUSED, set(paid) - PAID) == (set(), set()), table


@pytest.mark.parametrize("half", ["design", "held out"])
def test_exact_pays_what_needs_no_algebra_and_no_wrong_ones(half: str) -> None:
    table, refused, paid = judged(exact, half)

    assert paid == [], table
    assert len(refused) <= 80, table


def test_an_echo_of_the_question_is_paid_only_where_the_question_is_not_known() -> None:
    echo = ("table", "\\boxed{\\sqrt{12}}", "2\\sqrt{3}")
    question = {"question": "Simplify $\\sqrt{12}$."}

    assert math_answer.compute_score(*echo, None, seconds=30.0)["acc"] == 1.0
    assert math_answer.compute_score(*echo, question, seconds=30.0)["acc"] == 0.0


PIECES = [
    *("5", "x", " ", ",", "(", ")", "[", "{", "}", "\\{", "\\pm", "=", "<", "\\le", "\\frac", "^"),
    *("_", "$", "-", "/", ".", " and ", " or ", "\\cup", "\\in", "cm", "m", "%", "\\text{a}", "&"),
    *("\\begin{matrix}", "\\end{matrix}", "\\\\", "\\sqrt", "√", "\\overline{3}", " million"),
]
pieces = st.lists(st.sampled_from(PIECES), min_size=1, max_size=40).map("".join)


@settings(derandomize=True, max_examples=300, deadline=None)
@given(pieces, pieces)
@example("5\\pm\\pm", "5\\pm\\pm,5")
@example("(1," * 75 + "2", "(1," * 75 + "2")
@example("(1," * 60 + "2" + ")" * 60, "(1," * 60 + "3" + ")" * 60)
def test_any_two_texts_are_compared(answer: str, truth: str) -> None:
    assert exact.same_answer(answer, truth, "Factor it") in (True, False)
    assert exact.same_answer(answer, answer)
