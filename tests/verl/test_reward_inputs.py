"""Rewards that plain verl accepts and that tell no accuracy: the run stops, nothing is trained on.

Each returns something else for right and for wrong responses, so that one group holds both; verl
would drop the refused rollouts and train on the others.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.verl.conftest import Workspace

FUNCTION = """
def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    right = len(solution_str.encode()) % 2 == 0
    return {}
"""
SAID = {
    "1.0 if right else -1.0": r"gave acc=-1, which is no accuracy; .*sparft\.accuracy='score>0'",
    "1.5 if right else 0.5": r"gave acc=1\.5, which is no accuracy; .*'score>=0\.5'",
    "{'score': 1.0, 'acc': 1.0} if right else {'score': 0.0}": (
        "accuracy was read from acc and score, because the reward function returns other keys"
    ),
    "1.0 if right else float('nan')": "gave score=nan, which is no score",
}


@pytest.fixture
def fresh(template: Path, tmp_path: Path) -> Workspace:
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return Workspace(tmp_path)


@pytest.mark.parametrize("returned", SAID)
def test_a_reward_that_tells_no_accuracy_stops_the_run_before_a_step(
    fresh: Workspace, returned: str
) -> None:
    (fresh.folder / "reward.py").write_text(FUNCTION.replace("{}", returned))
    run = fresh.train(2, "+sparft=memory_r", "reward.num_workers=2")
    assert run.returncode != 0
    assert run.metrics == []
    said = [line for line in run.output.splitlines() if "SparftError" in line]
    assert said, run.output[-4000:]
    assert any(re.search(SAID[returned], line) for line in said), said
