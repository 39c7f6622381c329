"""Median step time of the quickstart's training with the memory and without, as one ratio."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "quickstart"
STEPS, WARM = 15, 3
"""Steps of a run, and how many of them are left out because vLLM and torch warm up."""
RUNS = ("on", "off", "off", "on")


def step_times() -> dict[str, Any]:
    """Train twice with the memory and twice without, in turn, on the same prepared data."""
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        prepare(data)
        seconds: dict[str, list[float]] = {"on": [], "off": []}
        for run, memory in enumerate(RUNS):
            found = train(Path(scratch) / f"run{run}", data, memory)
            seconds[memory] += found
            sys.stderr.write(f"memory {memory}: median step {np.median(found):.2f} s\n")
    medians = {name: round(float(np.median(found)), 3) for name, found in seconds.items()}
    return {
        "steps": STEPS,
        "left_out": WARM,
        "runs": list(RUNS),
        "step_s_median": medians,
        "ratio": round(medians["on"] / medians["off"], 3),
    }


def prepare(data: Path) -> None:
    """Generate the tasks of the quickstart and reduce them."""
    reduce = ["reduce", f"{data}/pool.parquet", "-o", f"{data}/train.parquet"]
    commands = [
        [str(RECIPE / "prepare.py"), "--out", str(data)],
        ["-m", "sparft_plugin", *reduce, "--difficulty-key", "extra_info.difficulty"],
    ]
    for command in commands:
        subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)


def train(out: Path, data: Path, memory: str) -> list[float]:
    """Seconds of each step of one run, the first ones left out."""
    shutil.copytree(data, out / "data")
    overrides = ["trainer.save_freq=-1", *(["sparft.memory=null"] if memory == "off" else [])]
    done = subprocess.run(
        ["bash", str(RECIPE / "train.sh"), str(out), *overrides],
        env={**os.environ, "PYTHON": sys.executable, "STEPS": str(STEPS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"training failed:\n{done.stdout[-4000:]}")
    rows = (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(row)["data"]["timing_s/step"] for row in rows][WARM:]
