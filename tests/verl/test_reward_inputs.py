"""A reward function that tells no score ends a real run with the sentence that names the mend."""

from __future__ import annotations

import pytest

from tests.verl.conftest import Workspace
from tests.verl.harness import VerlRun

NO_SCORE = """
def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    return {"acc": 0.0}
"""


@pytest.fixture(scope="module")
def run(workspace: Workspace) -> VerlRun:
    (workspace.folder / "reward.py").write_text(NO_SCORE)
    return workspace.train(2, "+sparft=memory_r")


def test_the_run_ends_before_a_step_and_says_why(run: VerlRun) -> None:
    assert run.returncode != 0
    assert run.metrics == []
    assert "the reward function returned no 'score'; return a dict with 'score'" in run.output
