"""What is the truth in another notation is paid, and what only looks like it is not.

``answers.jsonl`` holds right and wrong answers to one truth a line. The design part grew while the
rules were written; the held out part was written before them and first scored when they were.
"""

from __future__ import annotations

import json
from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import sympy
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sparft_plugin.errors import SparftError
from sparft_plugin.rewards import exact, math_answer
from sparft_plugin.rewards.exact import same_answer
from sparft_plugin.rewards.math_answer import judge
from sparft_plugin.rewards.math_process import JUDGE, Verdict
from sparft_plugin.rewards.notation import clean, parse_number
from sparft_plugin.rewards.structure import split_unit
from tests.budget import COSTLY

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
# A busy machine is no failure.
PATIENT = 30.0
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
    table, refused, paid = judged(math_answer, half, seconds=PATIENT)

    assert (set(refused) - REFUSED, set(paid) - PAID) == (set(), set()), table


@pytest.mark.parametrize("half", ["design", "held out"])
def test_exact_pays_what_needs_no_algebra_and_no_wrong_ones(half: str) -> None:
    table, refused, paid = judged(exact, half)

    assert paid == [], table
    assert len(refused) <= 80, table


def test_an_echo_of_the_question_is_paid_only_where_the_question_is_not_known() -> None:
    echo = ("table", "\\boxed{\\sqrt{12}}", "2\\sqrt{3}")
    question = {"question": "Simplify $\\sqrt{12}$."}

    assert math_answer.compute_score(*echo, None, seconds=PATIENT)["acc"] == 1.0
    assert math_answer.compute_score(*echo, question, seconds=PATIENT)["acc"] == 0.0


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


whole = st.integers(-(10**12), 10**12)


@given(whole, whole)
def test_whole_numbers_are_the_same_exactly_if_they_are_equal(a: int, b: int) -> None:
    assert same_answer(f"{a:,}", str(b)) == (a == b)
    assert same_answer(f"{a}.00", str(a))


@given(whole, st.integers(1, 10**6), whole, st.integers(1, 10**6))
def test_fractions_are_the_same_exactly_if_their_values_are(a: int, b: int, c: int, d: int) -> None:
    truth, answer = Fraction(c, d), Fraction(a, b)
    wanted = truth == answer and (truth.denominator != 1 or (a, b) == (c, d))
    sign = "-" if a < 0 else ""

    assert same_answer(f"{a}/{b}", f"{c}/{d}") == wanted
    assert same_answer(f"{sign}\\frac{{{abs(a)}}}{{{b}}}", f"{c}/{d}") == wanted
    assert same_answer(f"\\frac{{{-a}}}{{{-b}}}", f"{c}/{d}") == wanted or truth.denominator == 1


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("5", 5, ""),
        ("-5.50", Fraction(-11, 2), ""),
        (".5", Fraction(1, 2), ""),
        ("1{,}234", 1234, ""),
        ("1\\,234\\!", 1234, ""),
        ("\\$1,234.50", Fraction(2469, 2), "$"),
        ("-\\$5", -5, "$"),
        ("40\\%", 40, "%"),
        ("90^\\circ", 90, "deg"),
        ("90^{\\circ}", 90, "deg"),
        ("7\\text{ cm}^2", 7, "cm2"),
        ("7\\,\\mathrm{cm}", 7, "cm"),
        ("\\tfrac{3}{4}", Fraction(3, 4), ""),
        ("\\frac34", Fraction(3, 4), ""),
        ("-3/4", Fraction(-3, 4), ""),
        ("1\\frac{1}{2}", Fraction(3, 2), ""),
        ("-1 \\frac12", Fraction(-3, 2), ""),
        ("\\frac{270}7", Fraction(270, 7), ""),
        ("3/0", None, ""),
        ("5.", 5, ""),
        ("0.1\\overline{6}", Fraction(1, 6), ""),
        ("0.\\overline{9}", None, ""),
        ("5\\text{ million}", 5_000_000, ""),
        ("3\\times 10^8", 300_000_000, ""),
        ("60 miles per hour", 60, "mi/h"),
        ("7\\text{ m}", 7, "m"),
        ("7m", None, ""),
        ("7 pi", None, ""),
        (".", None, ""),
        ("-", None, ""),
        ("", None, ""),
        ("1,23", None, ""),
        ("1e5", None, ""),
        ("5%%", None, ""),
        ("٥", None, ""),
        ("5\n5", None, ""),
    ],
)
def test_a_number_is_what_is_written_in_digits(
    text: str, value: Fraction | int | None, unit: str
) -> None:
    measure = split_unit(clean(text))
    number = parse_number(measure.text)

    assert (number and number.value) == value
    assert number is None or measure.unit == unit


@pytest.mark.parametrize(
    ("answer", "truth", "same"),
    [
        ("Yes", "yes", True),
        ("new  york", "New York", True),
        ("x", "X", False),
        ("new york", "\\text{New York}", True),
        ("\\text{New} York", "New York", True),
        ("3:2", "1\\frac{1}{2}", False),
        ("\\Delta x", "\\delta x", False),
        ("ÄB", "äb", False),
        ("46/2", "23", False),
        ("23.0", "46/2", True),
        ("5", "5\\%", True),
        ("\\$5", "5\\%", False),
        ("", "5", False),
    ],
)
def test_case_blanks_and_units_follow_the_rules(answer: str, truth: str, same: bool) -> None:
    assert same_answer(answer, truth) == same


@pytest.mark.parametrize(
    ("answer", "truth", "same"),
    [
        (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}", True),
        (r"\{3,1\}", r"\{1,3\}", True),
        (r"3 \times 10^{8}", r"3\cdot 10^8", True),
        (None, "5", False),
        ("4=5", "5", False),
        ("3 2", "5", False),
        ("silent", r"\text{listen}", False),
        ("12", "12_3", False),
        ("3.141593", r"\pi", False),
        ("0.0", "10^{-9}", False),
        (r"\int_0^{\pi} 1 dx", r"\pi", False),
    ],
)
def test_what_an_algebra_system_reads_generously_is_wrong(
    answer: str | None, truth: str, same: bool
) -> None:
    assert judge(answer, truth, PATIENT) == Verdict(same, True)


coefficient = st.integers(-4, 4)


def latex(coefficients: list[int], x: str = "x") -> str:
    """Spell a polynomial, highest power last."""
    return "+".join(f"({c})\\cdot {x}^{{{k}}}" for k, c in enumerate(coefficients))


@COSTLY
@given(st.lists(coefficient, min_size=2, max_size=4), st.lists(coefficient, min_size=2, max_size=4))
def test_polynomials_are_equal_exactly_if_their_coefficients_are(
    first: list[int], second: list[int]
) -> None:
    x = sympy.Symbol("x")
    polynomials = [sum(c * x**k for k, c in enumerate(cs)) for cs in (first, second)]
    same = sympy.expand(polynomials[0] - polynomials[1]) == 0

    assert judge(latex(first), latex(second), PATIENT) == Verdict(same, True)
    assert judge(latex(second, "z"), latex(first), PATIENT) == Verdict(False, True)


def test_a_truth_in_digits_never_asks_the_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JUDGE, "compare", lambda *_: pytest.fail("asked"))

    assert judge("41", "42") == Verdict(False, True)
    assert judge("x=42", "42") == Verdict(True, True)


def test_without_math_verify_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    JUDGE.close()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(SparftError, match=r"pip install 'sparft-plugin\[rewards\]'"):
        math_answer.compute_score("set", r"\boxed{\sqrt{12}}", r"2\sqrt{3}")


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), "1", None, True])
def test_a_limit_that_is_none_is_refused(seconds: object) -> None:
    with pytest.raises(SparftError, match=r"reward_kwargs.seconds must be a finite number > 0"):
        math_answer.compute_score("set", r"\boxed{5}", "5", seconds=seconds)  # type: ignore[arg-type]
