"""Save a large memory as verl does, kill the process, and resume it exactly; as JSON.

python benchmarks/memory_resume.py [--gigabytes 5]

One process fills a memory of Memory-R+, notes what it would pay for the next steps, saves its state
with torch.save and is killed. Another one loads the file and must pay the same, to the last bit.
Peaks are of resident memory, over the bytes of the embeddings.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import memory_of, parser_of, unit_vectors, write

DIMENSION, ROLLOUTS, GROUPS, STEPS = 384, 16, 64, 3
RESPONSES = 100
"""Responses of each prompt, in each of the two memories."""


def groups_of(step: int, prompts: int) -> list[Any]:
    """Groups of a step; the first steps meet every prompt once."""
    from sparft_plugin.memory.base import MemoryGroup

    rng = np.random.default_rng(step)
    first = step * GROUPS
    met = (
        range(first, min(first + GROUPS, prompts))
        if first < prompts
        else rng.integers(prompts, size=GROUPS)
    )
    count = 2 * RESPONSES if first < prompts else ROLLOUTS
    right = np.arange(count) % 2
    return [
        MemoryGroup(f"{p}", unit_vectors(rng, 1)[0], unit_vectors(rng, count), right)
        for p in map(int, met)
    ]


def remembering() -> Any:
    """The memory as the driver has it, with nothing in it."""
    from sparft_plugin.plugins import build
    from sparft_plugin.training.metrics import PartTimer
    from sparft_plugin.training.remembering import Remembering

    memory = build(
        "intrinsic reward", "memory_r_plus", {"encoder": "all-MiniLM-L6-v2", "warmup_steps": 0}
    )
    return Remembering(memory, str, PartTimer())


def forget_peak() -> None:
    """Let the peak count from now on."""
    Path("/proc/self/clear_refs").write_text("5")


def paid(memory: Any, begin: int, prompts: int) -> list[float]:
    """What the next steps are paid, each written after it was scored."""
    totals = []
    for step in range(begin, begin + STEPS):
        groups = groups_of(step, prompts)
        totals += [float(x) for terms in memory.score(groups) for x in terms.total]
        memory.write(groups)
    return totals


def save(folder: Path, prompts: int) -> None:
    """Fill, save, tell what comes next, and die."""
    import torch

    ours = remembering()
    steps = -(-prompts // GROUPS)
    for step in range(steps):
        ours.memory.write(groups_of(step, prompts))
    held = memory_of()
    forget_peak()
    began = time.perf_counter()
    state = ours.state_dict()
    packed = time.perf_counter()
    torch.save({"dataset_state": {"memory": state}}, folder / "data.pt")
    done = time.perf_counter()
    told = {
        "held": held,
        "peak_save": memory_of("VmHWM"),
        "state_s": packed - began,
        "save_s": done - packed,
        "embeddings": 2 * prompts * RESPONSES * DIMENSION * 4,
        "header": state["header"],
    }
    del state
    told["paid"] = paid(ours.memory, steps, prompts)
    (folder / "told.json").write_text(json.dumps(told))
    os.kill(os.getpid(), signal.SIGKILL)


def resume(folder: Path, prompts: int) -> None:
    """Load what the killed one saved, and go on."""
    import torch

    ours = remembering()
    empty = memory_of()
    began = time.perf_counter()
    state = torch.load(folder / "data.pt", weights_only=True)["dataset_state"]["memory"]
    ours.load_state_dict(state)
    loaded = time.perf_counter() - began
    peak, same = memory_of("VmHWM"), ours.state_dict()["header"] == state["header"]
    del state
    goes_on = paid(ours.memory, -(-prompts // GROUPS), prompts)
    told = {"load_s": loaded, "empty": empty, "peak_load": peak, "same": same, "paid": goes_on}
    (folder / "resumed.json").write_text(json.dumps(told))


def measure(gigabytes: float) -> dict[str, Any]:
    """Run both processes, and put their figures together."""
    prompts = round(gigabytes * 1e9 / (2 * RESPONSES * DIMENSION * 4))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        command = [sys.executable, __file__, "--folder", scratch, "--prompts", str(prompts)]
        killed = subprocess.run([*command, "--part", "save"])
        assert killed.returncode == -signal.SIGKILL, killed.returncode
        saved = json.loads((folder / "told.json").read_text())
        size = (folder / "data.pt").stat().st_size
        subprocess.run([*command, "--part", "resume"], check=True)
        resumed = json.loads((folder / "resumed.json").read_text())
    raw = saved["embeddings"]
    return {
        "prompts": prompts,
        "embedding_gb": round(raw / 1e9, 2),
        "file_over_embeddings": round(size / raw, 3),
        "held_over_embeddings": round(saved["held"] / raw, 3),
        "peak_of_save_over_held": round(saved["peak_save"] / saved["held"], 3),
        "peak_of_load_over_embeddings": round((resumed["peak_load"] - resumed["empty"]) / raw, 3),
        "state_s": round(saved["state_s"], 1),
        "save_s": round(saved["save_s"], 1),
        "load_s": round(resumed["load_s"], 1),
        "same_state": resumed["same"],
        "same_pay": resumed["paid"] == saved["paid"] and any(saved["paid"]),
        "steps_compared": STEPS,
    }


def main() -> None:
    """Measure and write the JSON, or do one process's part."""
    parser = parser_of(__file__, __doc__)
    parser.add_argument("--gigabytes", type=float, default=5.0)
    parser.add_argument("--part", choices=["save", "resume"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--prompts", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        (save if given.part == "save" else resume)(given.folder, given.prompts)
        return
    write(given.out, measure(given.gigabytes))


if __name__ == "__main__":
    main()
