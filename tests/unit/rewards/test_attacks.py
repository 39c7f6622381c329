"""No verifier pays for an answer that is not there, whatever the response is made of."""

from __future__ import annotations

import importlib
import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sparft_plugin.rewards import math_answer
from sparft_plugin.rewards.math_process import JUDGE

TABLE = json.loads((Path(__file__).parent / "attacks.json").read_text(encoding="utf-8"))
PURE_PYTHON = ("exact", "gsm8k")
BY_ALGEBRA = ("math_answer", "competition")


class Case(NamedTuple):
    """One response to one prompt."""

    name: str
    truth: str
    response: str


def cases(groups: list[dict[str, Any]]) -> list[Case]:
    """Fill every frame of every group, where it has its @, with everything the group lists."""
    return [
        Case(
            f"{group['name']} | {frame} | {fill}",
            group["truth"],
            TABLE["frames"][frame].replace("@", fill),
        )
        for group in groups
        for frame in group["frames"]
        for fill in group["fill"]
    ]


def controls(verifier: str) -> list[Case]:
    """Right responses that a verifier must find right."""
    return cases([group for group in TABLE["right"] if verifier in group["by"]])


BUILT = [
    Case(b["name"], b["truth"], b["before"] + b["repeat"] * b["times"] + b["after"])
    for b in TABLE["built"]
]
WRONG = cases(TABLE["wrong"]) + BUILT


def score(verifier: str, case: Case, **kwargs: float) -> dict[str, float]:
    module: Any = importlib.import_module(f"sparft_plugin.rewards.{verifier}")
    parts: dict[str, float] = module.compute_score("attack", case.response, case.truth, **kwargs)
    return parts


def test_the_table_is_large_enough_and_names_no_case_twice() -> None:
    assert len({case.name for case in WRONG}) == len(WRONG) >= 500
    assert sum(len(case.response) > 1_000_000 for case in WRONG) >= 20


@pytest.mark.parametrize("verifier", PURE_PYTHON)
def test_no_wrong_response_is_right_or_takes_a_second(verifier: str) -> None:
    for case in WRONG:
        began = time.process_time()
        assert score(verifier, case)["acc"] == 0, case.name
        assert time.process_time() - began < 1, case.name


# What competition adds to the score of math_answer is steps.
@pytest.mark.parametrize(
    ("verifier", "some"), [("math_answer", WRONG), ("competition", WRONG[::25])]
)
def test_no_wrong_response_is_right_by_algebra(verifier: str, some: list[Case]) -> None:
    paid = [case.name for case in some if score(verifier, case, seconds=0.3)["acc"] != 0]
    assert paid == []


@pytest.mark.parametrize(
    ("verifier", "of"),
    [("exact", "exact"), ("gsm8k", "exact"), ("math_answer",) * 2, ("competition", "math_answer")],
)
def test_every_right_response_is_right_and_has_the_same_parts_as_a_wrong_one(
    verifier: str, of: str
) -> None:
    right = controls(of)
    # A busy machine is no failure here.
    patient = {"seconds": 30.0} if verifier in BY_ALGEBRA else {}
    scored = [(case.name, score(verifier, case, **patient)) for case in right]

    assert len(right) > 50
    assert [name for name, parts in scored if parts["acc"] != 1] == []
    assert {tuple(parts) for _, parts in scored} == {tuple(score(verifier, WRONG[0]))}


def test_algebra_that_never_ends_is_ended_by_its_own_limit_and_said_so() -> None:
    slow = Case("tower", r"\pi", r"\boxed{9^{9^{9^{9^9}}}}")
    JUDGE.compare("x", "x", 5)
    began = time.perf_counter()

    parts = math_answer.compute_score("attack", slow.response, slow.truth, seconds=0.3)

    assert parts == {"score": 0.0, "acc": 0.0, "answered": 1.0, "overtime": 1.0}
    # The kernel ends the work at 0.3 s; waiting for the judge itself would take 5 s more.
    assert 0.3 <= time.perf_counter() - began < 3
