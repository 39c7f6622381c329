"""A memory that is written step by step into a folder, until somebody kills the process.

python memory_writer.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from sparft_plugin.memory import files
from sparft_plugin.memory.base import MemoryGroup
from sparft_plugin.memory.memory_r_plus import MemoryRPlus


def empty() -> MemoryRPlus:
    return MemoryRPlus("tiny@1", query_capacity=5, response_capacity=4, warmup_steps=3)


def groups_of(step: int) -> list[MemoryGroup]:
    """What step number `step` writes; every fifth step writes nothing."""
    rng = np.random.default_rng(step)
    return [
        MemoryGroup(
            f"p{rng.integers(9)}",
            rng.standard_normal(16).astype(np.float32),
            rng.standard_normal((4, 16)).astype(np.float32),
            rng.integers(0, 2, 4).astype(np.float64),
        )
        for _ in range(0 if step % 5 == 0 else 3)
    ]


def after(steps: int) -> bytes:
    """State of a memory that was written the first steps and nothing else."""
    memory = empty()
    for step in range(1, steps + 1):
        memory.write(groups_of(step))
    return memory.dumps()


def main(path: Path) -> None:
    files.SMALL_JOURNAL = 20_000  # a few steps, so that kills fall into snapshots as well
    memory, folder = empty(), files.MemoryFolder(path)
    if not any(path.iterdir()):
        folder.save(memory)
    folder.load(memory)
    while True:
        groups = groups_of(memory.step + 1)
        memory.write(groups)
        folder.append(memory.step, groups)
        sys.stdout.write(f"{memory.step}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
