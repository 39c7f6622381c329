"""No verifier pays for an answer that is not there, whatever the response is made of."""

from __future__ import annotations

import importlib
import time
from typing import Any

import pytest

from sparft_plugin.rewards import math_answer
from sparft_plugin.rewards.math_process import JUDGE
from tests.unit.rewards.attack_table import Case, built, cases, controls

PURE_PYTHON = ("exact", "gsm8k")
BY_ALGEBRA = ("math_answer", "competition")
WRONG = cases("wrong") + built()


def timed(verifier: str, case: Case, **kwargs: float) -> tuple[dict[str, float], float]:
    """Return the parts of a score, and the seconds of CPU it took here."""
    score: Any = importlib.import_module(f"sparft_plugin.rewards.{verifier}").compute_score
    began = time.process_time()
    parts = score("attack", case.response, case.truth, **kwargs)
    return parts, time.process_time() - began


def test_the_table_is_large_enough_and_names_no_case_twice() -> None:
    assert len({case.name for case in WRONG}) == len(WRONG) >= 500
    assert sum(len(case.response) > 1_000_000 for case in WRONG) >= 20


@pytest.mark.parametrize("verifier", PURE_PYTHON + BY_ALGEBRA)
def test_no_wrong_response_is_right(verifier: str) -> None:
    assert [case.name for case in WRONG if timed(verifier, case)[0]["acc"] != 0] == []


@pytest.mark.parametrize(
    ("verifier", "of"),
    [("exact", "exact"), ("gsm8k", "exact"), ("math_answer",) * 2, ("competition", "math_answer")],
)
def test_every_right_response_is_right(verifier: str, of: str) -> None:
    right = controls(of)
    # A busy machine is no failure here.
    patient = {"seconds": 30.0} if verifier in BY_ALGEBRA else {}

    assert len(right) > 50
    assert [c.name for c in right if timed(verifier, c, **patient)[0]["acc"] != 1] == []


@pytest.mark.parametrize("verifier", PURE_PYTHON)
def test_no_response_takes_a_second(verifier: str) -> None:
    slowest = max((timed(verifier, case)[1], case.name) for case in WRONG)

    assert slowest[0] < 1, slowest


def test_algebra_that_never_ends_is_ended_by_its_own_limit_and_said_so() -> None:
    slow = Case("tower", r"\pi", r"\boxed{9^{9^{9^{9^9}}}}")
    JUDGE.compare("x", "x", 5)
    began = time.perf_counter()

    parts = math_answer.compute_score("attack", slow.response, slow.truth, seconds=0.3)

    assert parts == {"score": 0.0, "acc": 0.0, "answered": 1.0, "overtime": 1.0}
    # The kernel ends the work at 0.3 s; waiting for the judge itself would take 5 s more.
    assert 0.3 <= time.perf_counter() - began < 3


def test_every_response_of_a_verifier_has_the_same_parts() -> None:
    some = [*WRONG[::40], *controls("exact")[:5]]
    for verifier in PURE_PYTHON + BY_ALGEBRA:
        keys = {tuple(timed(verifier, case)[0]) for case in some}
        assert len(keys) == 1, (verifier, keys)
