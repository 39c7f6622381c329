"""Rewards and reward workers that tell no accuracy stop a real run.

Where responses of one group are answered differently, plain verl drops the refused ones and trains
on the rest.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.verl.conftest import Workspace
from tests.verl.harness import REWARD, SLOW, VerlRun

FUNCTION = """
def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    right = len(solution_str.encode()) % 2 == 0
    return {}
"""
STOPS = [
    ("1.0 if right else -1.0", r"gave acc=-1, which is no accuracy; .*sparft\.accuracy='score>0'"),
    pytest.param(
        "1.5 if right else 0.5",
        r"gave acc=1\.5, which is no accuracy; .*'score>=0\.5'",
        marks=SLOW,
    ),
    pytest.param(
        "{'score': 1.0, 'acc': 1.0} if right else {'score': 0.0}",
        "accuracy was read from acc and score, because the reward function returns other keys",
        marks=SLOW,
    ),
    pytest.param("1.0 if right else float('nan')", "gave score=nan, which is no score", marks=SLOW),
]


@pytest.fixture
def fresh(template: Path, tmp_path: Path) -> Workspace:
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return Workspace(tmp_path)


def sentences(run: VerlRun) -> list[str]:
    return [line for line in run.output.splitlines() if "SparftError" in line]


@pytest.mark.parametrize(("returned", "said"), STOPS)
def test_a_reward_that_tells_no_accuracy_stops_the_run_before_a_step(
    fresh: Workspace, returned: str, said: str
) -> None:
    (fresh.folder / "reward.py").write_text(FUNCTION.replace("{}", returned))
    run = fresh.train(2, "+sparft=memory_r", "reward.num_workers=2")
    assert run.returncode != 0
    assert run.metrics == []
    assert any(re.search(said, line) for line in sentences(run)), run.output[-4000:]


WITHOUT_ENCODER = """
import os, sys
from pathlib import Path

if "RewardLoopWorker" in Path("/proc/self/cmdline").read_text():
    try:
        os.close(os.open(Path(__file__).with_name("has_encoder"), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        sys.modules["sentence_transformers"] = None
"""


@SLOW
def test_one_reward_worker_without_the_encoder_stops_the_run_before_a_step(
    fresh: Workspace,
) -> None:
    (fresh.folder / "reward.py").write_text(WITHOUT_ENCODER + REWARD)
    run = fresh.train(2, "+sparft=memory_r", "reward.num_workers=2")
    assert run.returncode != 0
    assert run.metrics == []
    assert any(
        re.search(r"row \d+ of data\.train_files: .*sentence.transformers", line)
        for line in sentences(run)
    ), run.output[-4000:]
