"""Numbers are compared by value, everything else by how it is written."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.rewards.exact import same_answer
from sparft_plugin.rewards.notation import clean
from sparft_plugin.rewards.plain_number import parse_number
from sparft_plugin.rewards.units import split_unit

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
        ("\\text{New York}", "New York", True),
        ("new york", "\\text{New York}", True),
        ("\\text{New} York", "New York", True),
        ("York New", "New York", False),
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
