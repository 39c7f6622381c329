"""``sparft difficulty`` on the real vLLM with the quickstart's model, killed and gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparft_plugin.difficulty.rollouts import JoinKeys, read_rollouts
from sparft_plugin.difficulty.solved import Verdict
from sparft_plugin.difficulty.verifier import load_verifier
from sparft_plugin.errors import SparftError
from tests.verl.harness import environment

RECIPE = Path(__file__).parents[2] / "recipes" / "quickstart"
ATTEMPTS, BATCH, PROMPTS = 4, 4, 64
REWARD = f"""
import os, sys, time
sys.path.insert(0, {str(RECIPE)!r})
import reward

def compute_score(*args, **kwargs):
    # Slow in the run that is killed, so that the kill comes in its middle on any machine.
    time.sleep(float(os.environ.get("VERIFIER_SECONDS", 0)))
    return reward.compute_score(*args, **kwargs)
"""
IN_ONE_ENGINE = """
import sys
from unittest.mock import patch
from sparft_plugin.cli import measure
from sparft_plugin.cli.main import main

real, made = measure.VllmGenerator, []

def shared(*args):
    made.append(made[0] if made else real(*args))
    return made[0]

at = sys.argv.index("--out")
with patch.object(measure, "VllmGenerator", shared), patch.object(real, "close"):
    for out, batch in (each.split(":") for each in sys.argv[at + 1:]):
        assert main([*sys.argv[1:at], "-o", out, "--batch", batch]) == 0
made[0].close()
"""
"""Runs the command several times without starting vLLM as often."""


def start(
    folder: Path, *program: str, options: list[str], seconds: float = 0.0
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, *program, "difficulty", str(folder / "pool.parquet")),
            *("--model", str(RECIPE / "model")),
            *("--verifier", f"{folder / 'verifier.py'}:compute_score"),
            *("--attempts", str(ATTEMPTS), "--max-tokens", "24"),
            *("--engine-option", "enforce_eager=true"),
            *options,
        ],
        env={**environment(folder), "VERIFIER_SECONDS": str(seconds)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def prompts_in(log: Path) -> list[str]:
    """Ids whose attempts are all in the log, in order."""
    lines = log.read_bytes().split(b"\n")[1:-1] if log.exists() else []
    ids = [json.loads(line)["id"] for line in lines]
    return [key for i, key in enumerate(ids) if ids[i - ATTEMPTS + 1 : i + 1] == [key] * ATTEMPTS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a pool of the quickstart's tasks and one prompt that is too long."""
    sys.path.insert(0, str(RECIPE))
    from tasks import CELLS, rows

    folder = tmp_path_factory.mktemp("difficulty")
    pool = rows("pool", -(-PROMPTS // len(CELLS)), seed=3)[: PROMPTS - 1]
    # Longer than the 160 tokens that the model can read.
    long = {**pool[0], "prompt": [{"role": "user", "content": "x" * 200}]}
    (folder / "verifier.py").write_text(REWARD)
    pq.write_table(pa.Table.from_pylist([*pool, long]), folder / "pool.parquet")
    return folder


def test_killed_in_the_middle_it_goes_on_and_ends_as_if_nothing_had_happened(folder: Path) -> None:
    log = folder / "killed.attempts.jsonl"
    options = ["-o", str(folder / "killed.jsonl"), "--batch", str(BATCH)]
    process = start(folder, "-m", "sparft_plugin", options=options, seconds=0.02)
    deadline = time.monotonic() + 240
    while len(prompts_in(log)) < 2 * BATCH:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    done = prompts_in(log)
    assert 2 * BATCH <= len(done) < PROMPTS - BATCH
    assert not (folder / "killed.jsonl").exists()
    before = log.read_bytes()
    kept = before[: before.rindex(done[-1].encode())]

    # What the dead run had begun to write must be cut off.
    with log.open("ab") as file:
        file.write(b'{"id": "00000000000000000000000000000000", "row": 1, "att')
    batches = {"whole": BATCH, "killed": BATCH, "large": PROMPTS}
    outs = ["--out", *(f"{folder / name}.jsonl:{size}" for name, size in batches.items())]
    process = start(folder, "-c", IN_ONE_ENGINE, options=outs)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert f"measured {PROMPTS - 1} of {PROMPTS} prompts, 0 of them in an earlier run" in output
    assert f"{len(done)} of them in an earlier run; 1 too long" in output
    # The old lines stand where they stood, so they were not made again.
    assert log.read_bytes().startswith(kept)
    assert len(prompts_in(log)) == len(set(prompts_in(log))) == PROMPTS - 1
    assert log.read_bytes() == (folder / "whole.attempts.jsonl").read_bytes()
    whole = (folder / "whole.jsonl").read_bytes()
    assert (folder / "killed.jsonl").read_bytes() == whole
    # The size of a batch changes no sample.
    assert (folder / "large.jsonl").read_bytes() == whole

    _, *lines = map(json.loads, whole.splitlines())
    rates = {line["row"]: line["solve_rate"] for line in lines}
    assert len(rates) == PROMPTS - 1
    assert all(rate * ATTEMPTS == round(rate * ATTEMPTS) for rate in rates.values())
    # Solve rates follow the levels of the tasks.
    infos = pq.read_table(folder / "pool.parquet")["extra_info"].to_pylist()
    easy, hard = (
        np.mean([rate for row, rate in rates.items() if infos[row]["level"] == level])
        for level in (1, 3)
    )
    assert easy > hard


def test_without_a_verifier_verls_own_reward_functions_judge_by_data_source() -> None:
    verifier = load_verifier(None)
    assert verifier.judge("openai/gsm8k", "so #### 4", "4", {}) == Verdict(1.0, None)
    assert verifier.judge("openai/gsm8k", "so #### 5", "4", {}) == Verdict(0.0, None)
    assert verifier.judge("math_dapo", "Answer: 5", "4", {}) == Verdict(-1.0, 0.0)
    with pytest.raises(SparftError, match="NotImplementedError.*nowhere"):
        verifier.judge("nowhere", "4", "4", {})


def test_the_reader_of_rollouts_reads_what_verl_writes(tmp_path: Path) -> None:
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer

    PPOTrainer._write_generations(
        inputs=["user\n1 + 1?\nassistant\n"] * 2,
        outputs=["2", "3"],
        gts=["2", "2"],
        scores=[1.0, np.float32(0.0)],
        reward_extra_infos_dict={"uid": ["a_0_0", "a_1_0"], "acc": [np.bool_(True), np.int64(0)]},
        dump_path=str(tmp_path),
        global_steps=7,
    )
    found = read_rollouts(tmp_path, JoinKeys(["x", "y"], ["1 + 1?", "2 + 2?"], ['"2"', '"4"']))
    assert found.solve_rates[0] == 0.5
    assert found.curves[0].tolist() == [0.5]
    assert (found.lines["joined"], found.attempts.tolist()) == (2, [2, 0])
