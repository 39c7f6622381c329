"""No verifier pays for an answer that is not there, whatever the response is made of."""

from __future__ import annotations

import importlib
import json
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from sparft_plugin.rewards.math_process import JUDGE

TABLE = json.loads((Path(__file__).parent / "attacks.json").read_text(encoding="utf-8"))


class Case(NamedTuple):
    """One response to one prompt."""

    name: str
    truth: str
    response: str


def cases(groups):
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


BUILT = [
    Case(b["name"], b["truth"], b["before"] + b["repeat"] * b["times"] + b["after"])
    for b in TABLE["built"]
]
WRONG = cases(TABLE["wrong"]) + BUILT


def score(verifier, case, **kwargs):
    module = importlib.import_module(f"sparft_plugin.rewards.{verifier}")
    return module.compute_score("attack", case.response, case.truth, **kwargs)


def test_the_table_is_large_enough_and_names_no_case_twice():
    assert len({case.name for case in WRONG}) == len(WRONG) >= 500
    assert sum(len(case.response) > 1_000_000 for case in WRONG) >= 20


@pytest.mark.parametrize("verifier", ["exact", "gsm8k"])
def test_no_wrong_response_is_right_or_takes_a_second(verifier):
    for case in WRONG:
        began = time.process_time()
        assert score(verifier, case)["acc"] == 0, case.name
        assert time.process_time() - began < 1, case.name


# What competition adds to the score of math_answer is steps.
@pytest.mark.parametrize(
    ("verifier", "some"), [("math_answer", WRONG), ("competition", WRONG[::25])]
)
def test_no_wrong_response_is_right_by_algebra(verifier, some):
    paid = [case.name for case in some if score(verifier, case, seconds=0.3)["acc"] != 0]
    assert paid == []


# A busy machine is no failure here.
@pytest.mark.parametrize(
    ("verifier", "of", "options"),
    [
        ("exact", "exact", {}),
        ("gsm8k", "exact", {}),
        ("math_answer", "math_answer", {"seconds": 30.0}),
        ("competition", "math_answer", {"seconds": 30.0}),
    ],
)
def test_every_right_response_is_right_and_has_the_same_parts_as_a_wrong_one(verifier, of, options):
    right = cases([group for group in TABLE["right"] if of in group["by"]])
    scored = [(case.name, score(verifier, case, **options)) for case in right]
    assert len(right) > 50
    assert [name for name, parts in scored if parts["acc"] != 1] == []
    assert {tuple(parts) for _, parts in scored} == {tuple(score(verifier, WRONG[0]))}


def test_algebra_that_never_ends_is_ended_by_its_own_limit_and_said_so():
    JUDGE.compare("x", "x", 5)
    began = time.perf_counter()
    parts = score("math_answer", Case("tower", r"\pi", r"\boxed{9^{9^{9^{9^9}}}}"), seconds=0.3)
    assert parts == {"score": 0.0, "acc": 0.0, "answered": 1.0, "overtime": 1.0}
    # The kernel ends the work at 0.3 s; waiting for the judge itself would take 5 s more.
    assert 0.3 <= time.perf_counter() - began < 3
