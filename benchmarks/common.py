"""What the benchmarks share: a process for each case, its memory, and where results go."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).with_name("results")
GSM8K = Path(__file__).resolve().parents[2] / "shared" / "data" / "gsm8k"
CORES = len(os.sched_getaffinity(0))


def parser_of(script: str, about: str | None) -> argparse.ArgumentParser:
    """A command line with ``--out``, by default the script's file of results."""
    parser = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    result = (RESULTS / Path(script).name).with_suffix(".json")
    parser.add_argument("--out", type=Path, default=result)
    return parser


def in_own_process(script: str, *arguments: Any, **environment: str) -> Any:
    """What a script prints as JSON in its last line, run in a process of its own."""
    command = [sys.executable, script, *map(str, arguments)]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | environment
    )
    sys.stderr.write(done.stdout)
    return json.loads(done.stdout.splitlines()[-1])


def tell(result: Any) -> None:
    """Print what ``in_own_process`` reads."""
    sys.stdout.write("\n" + json.dumps(result) + "\n")


def write(out: Path, result: Any) -> None:
    """Write a result as JSON."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"wrote {out}\n")


def memory_of(field: str = "VmRSS") -> int:
    """Resident memory of this process in bytes, now or at its peak (VmHWM).

    Not ``ru_maxrss``, which a process inherits from the one that started it.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field)).split()[1])


def unit_vectors(rng: np.random.Generator, count: int, width: int = 384) -> np.ndarray:
    """Random directions, float32 (count, width)."""
    vectors = rng.standard_normal((count, width), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
