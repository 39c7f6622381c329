"""Numbers are compared by value, everything else letter for letter."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.rewards.exact import same_answer
from sparft_plugin.rewards.plain_number import parse_number

whole = st.integers(-(10**12), 10**12)


@given(whole, whole)
def test_whole_numbers_are_the_same_exactly_if_they_are_equal(a: int, b: int) -> None:
    assert same_answer(f"{a:,}", str(b)) == (a == b)
    assert same_answer(f"{a}.00", str(a))


@given(whole, st.integers(1, 10**6), whole, st.integers(1, 10**6))
def test_fractions_are_the_same_exactly_if_their_values_are(a: int, b: int, c: int, d: int) -> None:
    truth, answer = Fraction(c, d), Fraction(a, b)
    wanted = truth == answer and truth.denominator != 1
    sign = "-" if a < 0 else ""

    assert same_answer(f"{a}/{b}", f"{c}/{d}") == wanted
    assert same_answer(f"{sign}\\frac{{{abs(a)}}}{{{b}}}", f"{c}/{d}") == wanted


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("5", 5, ""),
        ("-5.50", Fraction(-11, 2), ""),
        (".5", Fraction(1, 2), ""),
        ("1{,}234", 1234, ""),
        ("1\\,234\\!", None, ""),
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
        ("5.", None, ""),
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
    number = parse_number(text)

    assert (number and (number.value, number.unit)) == (None if value is None else (value, unit))


@pytest.mark.parametrize(
    ("answer", "truth", "same"),
    [
        ("Yes", "yes", True),
        ("new  york", "New York", True),
        ("x", "X", False),
        ("\\text{New York}", "New York", True),
        ("new york", "\\text{New York}", True),
        ("\\text{New} York", "New York", False),
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
