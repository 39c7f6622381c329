"""What is the truth in another notation is paid, and what only looks like it is not.

``answers.jsonl`` holds right and wrong answers to one truth a line. The design part grew while the
rules were written; the held out part was written before them and first scored when they were.
"""

from __future__ import annotations

import json
from collections import defaultdict
from fractions import Fraction
from pathlib import Path

import pytest
import sympy
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sparft_plugin.errors import SparftError
from sparft_plugin.rewards import exact, math_answer
from sparft_plugin.rewards.exact import same_answer
from sparft_plugin.rewards.math_answer import judge
from sparft_plugin.rewards.math_process import JUDGE, Verdict
from tests.budget import COSTLY

TABLE = Path(__file__).parent / "answers.jsonl"
ROWS = [json.loads(line) for line in TABLE.read_text(encoding="utf-8").splitlines()]
HALVES = pytest.mark.parametrize("half", ["design", "held out"])
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


def judged(module, half, **options):
    """A table by kind, what was refused though right, and paid though wrong."""
    counts, refused, paid = defaultdict(lambda: [0, 0, 0, 0]), [], []
    for row in (row for row in ROWS if row["half"] == half):
        info = {"question": row["question"]} if "question" in row else {}
        for column, kind in enumerate(("right", "wrong")):
            for answer in row.get(kind, ()):
                # An answer is put into a box, unless it has a mark or is about marks.
                marked = row["kind"] == "marks" or any(mark in answer for mark in MARKS)
                text = answer if marked else f"So it is \\boxed{{{answer}}}."
                acc = module.compute_score("table", text, row["truth"], info, **options)["acc"]
                counts[row["kind"]][2 * column] += int(acc)
                counts[row["kind"]][2 * column + 1] += 1
                if acc != (kind == "right"):
                    (paid if acc else refused).append(f"{row['truth']} <- {answer}")
    assert len(counts) >= 25
    assert min(sum(count[column] for count in counts.values()) for column in (1, 3)) >= 200
    lines = [f"{k}: {a} of {b} right, {c} of {d} wrong" for k, (a, b, c, d) in counts.items()]
    return "\n".join(["paid", *lines, "refused:", *refused, "paid wrong:", *paid]), refused, paid


@HALVES
def test_math_answer_pays_right_answers_and_no_wrong_ones(half):
    table, refused, paid = judged(math_answer, half, seconds=PATIENT)
    assert (set(refused) - REFUSED, set(paid) - PAID) == (set(), set()), table


@HALVES
def test_exact_pays_what_needs_no_algebra_and_no_wrong_ones(half):
    table, refused, paid = judged(exact, half)
    assert paid == [], table
    assert len(refused) <= 80, table


def test_an_echo_of_the_question_is_paid_only_where_the_question_is_not_known():
    echo = ("table", "\\boxed{\\sqrt{12}}", "2\\sqrt{3}")
    for info, acc in ((None, 1.0), ({"question": "Simplify $\\sqrt{12}$."}, 0.0)):
        assert math_answer.compute_score(*echo, info, seconds=PATIENT)["acc"] == acc


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
def test_any_two_texts_are_compared(answer, truth):
    assert same_answer(answer, truth, "Factor it") in (True, False)
    assert same_answer(answer, answer)


whole = st.integers(-(10**12), 10**12)


@given(whole, whole)
def test_whole_numbers_are_the_same_exactly_if_they_are_equal(a, b):
    assert same_answer(f"{a:,}", str(b)) == (a == b)
    assert same_answer(f"{a}.00", str(a))


@given(whole, st.integers(1, 10**6), whole, st.integers(1, 10**6))
def test_fractions_are_the_same_exactly_if_their_values_are(a, b, c, d):
    truth, answer = Fraction(c, d), Fraction(a, b)
    wanted = truth == answer and (truth.denominator != 1 or (a, b) == (c, d))
    sign = "-" if a < 0 else ""
    assert same_answer(f"{a}/{b}", f"{c}/{d}") == wanted
    assert same_answer(f"{sign}\\frac{{{abs(a)}}}{{{b}}}", f"{c}/{d}") == wanted
    assert same_answer(f"\\frac{{{-a}}}{{{-b}}}", f"{c}/{d}") == wanted or truth.denominator == 1


@pytest.mark.parametrize(
    ("truth", "right", "wrong"),
    [
        ("5", ["5."], ["5%%", "٥", "5\n5", ".", "-", "", "+", "5 pi"]),
        ("-11/2", ["-5.50"], ["5.50"]),
        ("1/2", [".5"], ["1/20"]),
        ("1234", ["1{,}234", "1\\,234\\!"], ["1,23,4"]),
        ("123", [], ["1,23"]),
        ("100000", [], ["1e5"]),
        ("$1234.5", ["\\$1,234.50", "1234.5"], ["1234.5 euros"]),
        ("-5", ["-\\$5"], ["\\$5"]),
        ("90^\\circ", ["90", "90^{\\circ}"], ["90%"]),
        ("7 cm^2", ["7\\text{ cm}^2"], ["7 cm", "7 m^2"]),
        ("7", ["7\\,\\mathrm{cm}"], ["7m", "7 pi", "7\\text{ m}"]),
        ("3/4", ["\\tfrac{3}{4}", "\\frac34"], ["-3/4", "3/0"]),
        ("3/2", ["1\\frac{1}{2}"], ["-1 \\frac12", "3:2"]),
        ("-3/2", ["-1 \\frac12"], []),
        ("270/7", ["\\frac{270}7"], []),
        ("1/6", ["0.1\\overline{6}"], []),
        ("1", [], ["0.\\overline{9}"]),
        ("23", [], ["46/2"]),
        ("46/2", ["23.0"], []),
        ("5\\%", ["5"], ["\\$5"]),
        ("yes", ["Yes"], []),
        ("New York", ["new  york", "\\text{New} York"], []),
        ("X", [], ["x"]),
        ("\\delta x", [], ["\\Delta x"]),
        ("äb", [], ["ÄB"]),
    ],
)
def test_numbers_units_case_and_blanks_follow_the_rules(truth, right, wrong):
    assert [answer for answer in right if not same_answer(answer, truth)] == []
    assert [answer for answer in wrong if same_answer(answer, truth)] == []


@pytest.mark.parametrize(
    ("truth", "right", "wrong"),
    [
        (r"\frac{1}{\sqrt{2}}", [r"\frac{\sqrt{2}}{2}"], []),
        ("5", [], [None, "4=5", "3 2"]),
        (r"\text{listen}", [], ["silent"]),
        ("12_3", [], ["12"]),
        (r"\pi", [], ["3.141593", r"\int_0^{\pi} 1 dx"]),
        ("10^{-9}", [], ["0.0"]),
    ],
)
def test_what_an_algebra_system_reads_generously_is_wrong(truth, right, wrong):
    assert [judge(answer, truth, PATIENT) for answer in right] == [Verdict(True, True)] * len(right)
    assert {judge(answer, truth, PATIENT) for answer in wrong} <= {Verdict(False, True)}


def latex(coefficients, x="x"):
    """Spell a polynomial, highest power last."""
    return "+".join(f"({c})\\cdot {x}^{{{k}}}" for k, c in enumerate(coefficients))


coefficients = st.lists(st.integers(-4, 4), min_size=2, max_size=4)


@COSTLY
@given(coefficients, coefficients)
def test_polynomials_are_equal_exactly_if_their_coefficients_are(first, second):
    x = sympy.Symbol("x")
    polynomials = [sum(c * x**k for k, c in enumerate(cs)) for cs in (first, second)]
    same = sympy.expand(polynomials[0] - polynomials[1]) == 0
    assert judge(latex(first), latex(second), PATIENT) == Verdict(same, True)
    assert judge(latex(second, "z"), latex(first), PATIENT) == Verdict(False, True)


def test_a_truth_in_digits_never_asks_the_judge(monkeypatch):
    monkeypatch.setattr(JUDGE, "compare", lambda *_: pytest.fail("asked"))
    assert judge("41", "42") == Verdict(False, True)
    assert judge("x=42", "42") == Verdict(True, True)


def test_without_math_verify_the_error_names_the_extra(monkeypatch):
    JUDGE.close()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SparftError, match=r"pip install 'sparft-plugin\[rewards\]'"):
        math_answer.compute_score("set", r"\boxed{\sqrt{12}}", r"2\sqrt{3}")
