"""Reward functions as verl calls them."""

from __future__ import annotations

import sys

import pytest

from sparft_plugin.difficulty.solved import Verdict, read_verdict
from sparft_plugin.difficulty.verifier import load_verifier
from sparft_plugin.errors import SparftError

REWARD = """
from dataclasses import dataclass

LIMIT = 3

@dataclass
class Options:
    bonus: "float" = 1.0

def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    return {"score": Options().bonus * len(solution_str), "acc": solution_str == ground_truth}

async def slow_score(data_source, solution_str, ground_truth, extra_info=None):
    return extra_info["index"]
"""


@pytest.fixture
def reward(tmp_path):
    path = tmp_path / "my_reward.py"
    path.write_text(REWARD)
    (tmp_path / "bad.py").write_text("import nowhere_at_all")
    return path


def test_a_function_of_a_file_judges_with_verls_arguments_and_an_async_one_is_awaited(reward):
    verifier = load_verifier(f"{reward}:compute_score")
    assert verifier.judge("sums", "4", "4", {}) == Verdict(1.0, 1.0)
    assert verifier.judge("sums", "44", "4", {}) == Verdict(2.0, 0.0)
    assert load_verifier(f"{reward}:slow_score").judge("", "", "", {"index": 7}).score == 7.0


def test_the_identity_follows_the_content_of_the_file(reward):
    before = load_verifier(f"{reward}:compute_score").identity
    reward.write_text(REWARD + "\n# changed\n")
    assert load_verifier(f"{reward}:compute_score").identity != before
    assert before.startswith("my_reward.py:compute_score@")


@pytest.mark.parametrize(
    ("result", "verdict"),
    [
        (1, Verdict(1.0, None)),
        (True, Verdict(1.0, None)),
        ((0.25, "why"), Verdict(0.25, None)),
        ({"score": -1.0}, Verdict(-1.0, None)),
        ({"score": -1.0, "acc": False, "pred": "x"}, Verdict(-1.0, 0.0)),
        ({"acc": 0.5}, Verdict(0.5, 0.5)),
        ({"score": 2, "acc": None}, Verdict(2.0, None)),
    ],
)
def test_every_result_that_verl_accepts_is_a_verdict(result, verdict):
    assert read_verdict(result, "it") == verdict


@pytest.mark.parametrize("result", [None, "good", {}, {"score": None}, float("inf"), {"acc": 2}])
def test_anything_else_is_refused(result):
    with pytest.raises(SparftError, match="it gave"):
        read_verdict(result, "it")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("my_rewards.py:compute_score", r"did you mean '.*my_reward.py'\?"),
        ("my_reward.py:compute_scores", r"'compute_scores'; did you mean 'compute_score'\?"),
        ("my_reward.py:LIMIT", "Known: compute_score, slow_score"),
        ("bad.py:main", r"bad.py cannot be imported \(ModuleNotFoundError"),
        ("there/gone.py:main", "gone.py does not exist; check the path"),
        ("my_reward.py:", "must be FILE.py:FUNCTION"),
        ("reward.py", "must be FILE.py:FUNCTION"),
    ],
)
def test_a_verifier_that_cannot_be_loaded_is_refused(reward, spec, message):
    with pytest.raises(SparftError, match=message):
        load_verifier(f"{reward.parent}/{spec}")


def test_without_verl_the_default_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "verl.utils.reward_score", None)
    with pytest.raises(SparftError, match=r"sparft-plugin\[verl\].*--verifier"):
        load_verifier(None)
