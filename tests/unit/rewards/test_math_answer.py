"""Equal as mathematics, and nothing that only looks so."""

from __future__ import annotations

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.errors import SparftError
from sparft_plugin.rewards import math_answer
from sparft_plugin.rewards.math_answer import judge
from sparft_plugin.rewards.math_process import JUDGE, Verdict
from tests.budget import COSTLY

# A busy machine is no failure.
PATIENT = 30.0
coefficient = st.integers(-4, 4)


@pytest.mark.parametrize(
    ("answer", "truth"),
    [
        (r"\sqrt{12}", r"2\sqrt{3}"),
        (r"(x+1)(x-1)", r"x^2-1"),
        (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}"),
        (r"2x+3", r"y=2x+3"),
        (r"\{3,1\}", r"\{1,3\}"),
        (r"3 \times 10^{8}", r"3\cdot 10^8"),
        (r"1024", r"2^{10}"),
    ],
)
def test_other_spellings_of_the_truth_are_right(answer: str, truth: str) -> None:
    assert judge(answer, truth, PATIENT) == Verdict(True, True)


@pytest.mark.parametrize(
    ("answer", "truth"),
    [
        (None, "5"),
        ("4=5", "5"),
        ("3 2", "5"),
        ("2+3", "5"),
        (r"\sqrt{25}", "5"),
        ("silent", r"\text{listen}"),
        ("12", "12_3"),
        (r"3.141593", r"\pi"),
        ("0.0", "10^{-9}"),
        ("x", "X"),
        ("5", "5m"),
        (r"\pi r^2", r"\pi r^2 h"),
        ("York New", "New York"),
        ("1,2", "(1,2)"),
        (r"\int_0^{\pi} 1 dx", r"\pi"),
    ],
)
def test_what_an_algebra_system_reads_generously_is_wrong(answer: str | None, truth: str) -> None:
    assert judge(answer, truth, PATIENT) == Verdict(False, True)


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
    with pytest.raises(SparftError, match=r"reward_kwargs.seconds must be a finite number above 0"):
        math_answer.compute_score("set", r"\boxed{5}", "5", seconds=seconds)  # type: ignore[arg-type]
