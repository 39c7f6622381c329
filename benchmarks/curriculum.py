"""What a curriculum costs on a million prompts, as JSON.

python benchmarks/curriculum.py [--prompts 1000000] [--arms 1000]

Every method runs in a process of its own, so that its memory is its own too.
"""

from __future__ import annotations

import argparse
import importlib
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import CORES, in_own_process, memory_of, parser_of, tell, write

ROUNDS, BATCH, ROLLOUTS = 21, 1024, 8
WIDTH = 32
LIBRARIES = ("scipy.special", "sklearn.linear_model", "sklearn.mixture")
"""What methods import as they go; it is no cost of a prompt."""
LIMITS = {"arm": 5.0, "prompt": 60.0}
"""Milliseconds of a round that a method of each kind should stay below."""
WRAPPERS: dict[str, Any] = {"retest": {}, "share_floor": {"floor": 0.0005}}
"""Options of each; the floor is half of an even share of a thousand arms."""
WRAPPED = [(name, [wrapper]) for name in ("uniform", "sparft") for wrapper in WRAPPERS]


def measure(
    name: str, wrappers: list[str], prompts: int, arms: int, scratch: Path
) -> dict[str, Any]:
    """Time rounds of select and observe, and a save and load of the state."""
    from sparft_plugin.curriculum import ArmCurriculum, Outcome, PromptPool
    from sparft_plugin.curriculum.wrappers.wrap import wrap
    from sparft_plugin.plugins import build, lookup

    for library in LIBRARIES:
        importlib.import_module(library)
    rng = np.random.default_rng(0)
    ids = np.char.zfill(np.arange(prompts).astype("S32"), 32)
    cls = lookup("curriculum", name)
    pool = PromptPool(
        ids,
        rng.integers(arms, size=prompts).astype(np.int32),
        rng.uniform(size=prompts),
        rng.normal(size=(prompts, WIDTH)).astype(np.float32) if cls.needs_embeddings else None,
    )
    curriculum = wrap(
        build("curriculum", name, options(name, ids, scratch)),
        {wrapper: WRAPPERS[wrapper] for wrapper in wrappers},
    )
    before = memory_of()
    start = time.perf_counter()
    curriculum.start(pool, 0)
    started = time.perf_counter() - start
    milliseconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        picks = curriculum.select(BATCH)
        spent = time.perf_counter() - start
        accuracies = rng.integers(0, 2, size=(BATCH, ROLLOUTS)).astype(np.float64)
        outcomes = [
            Outcome(pick, row, row - row.mean())
            for pick, row in zip(picks, accuracies, strict=True)
        ]
        start = time.perf_counter()
        curriculum.observe(outcomes)
        milliseconds.append(1e3 * (spent + time.perf_counter() - start))
    own = memory_of() - before + pool.ids.nbytes + pool.arms.nbytes + pool.difficulties.nbytes
    start = time.perf_counter()
    text = json.dumps(curriculum.state_dict())
    saved = time.perf_counter() - start
    start = time.perf_counter()
    curriculum.load_state_dict(json.loads(text))
    loaded = time.perf_counter() - start
    return {
        "method": " around ".join([*wrappers, name]),
        "unit": "arm" if issubclass(cls, ArmCurriculum) else "prompt",
        "round_ms_median": round(float(np.median(milliseconds)), 2),
        "start_s": round(started, 3),
        "save_s": round(saved, 3),
        "load_s": round(loaded, 3),
        "state_mb": round(len(text) / 1e6, 1),
        "bytes_a_prompt": round(own / prompts),
    }


def options(name: str, ids: np.ndarray[Any, Any], scratch: Path) -> dict[str, Any]:
    """What a method must be given."""
    if name != "gain_rl":
        return {}
    path = scratch / "angles.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for i, identity in enumerate(ids.tolist()):
            file.write(json.dumps({"id": identity.decode(), "angle": (i % 97) / 97}) + "\n")
    return {"angles": str(path)}


def main() -> None:
    """Parse the command line, measure every registered method and write the JSON."""
    parser = parser_of(__file__, __doc__)
    parser.add_argument("--prompts", type=int, default=1_000_000)
    parser.add_argument("--arms", type=int, default=1000)
    parser.add_argument("--method", help=argparse.SUPPRESS)
    parser.add_argument("--wrapper", action="append", default=[], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.method:
        shape = arguments.prompts, arguments.arms
        with tempfile.TemporaryDirectory() as scratch:
            tell(measure(arguments.method, arguments.wrapper, *shape, Path(scratch)))
        return
    from sparft_plugin.plugins import registered

    methods = []
    alone: list[tuple[str, list[str]]] = [(name, []) for name in sorted(registered("curriculum"))]
    for name, wrappers in alone + WRAPPED:
        asked = ["--method", name, *[f"--wrapper={wrapper}" for wrapper in wrappers]]
        asked += ["--prompts", arguments.prompts, "--arms", arguments.arms]
        methods.append(in_own_process(__file__, *asked))
    result = {
        "prompts": arguments.prompts,
        "arms": arguments.arms,
        "batch": BATCH,
        "limits_ms": LIMITS,
        "methods": methods,
        "cores": CORES,
    }
    write(arguments.out, result)


if __name__ == "__main__":
    main()
