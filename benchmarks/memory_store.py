"""What kNN and bookkeeping of a full memory cost, embeddings given, as JSON.

python benchmarks/memory_store.py [--queries 7473] [--responses 100]

Both memories of Memory-R+ are filled to their capacities in small writes, as training does; then
steps of 64 groups of 16 rollouts are scored and written. Every case runs in a process of its own,
so that its memory is its own too. The engines that could search the queries run in one process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from common import CORES, in_own_process, memory_of, parser_of, tell, unit_vectors, write

DIMENSION, GROUPS, ROLLOUTS = 384, 64, 16
STEPS, SEARCHES = 15, 31
LIMITS = {"step_ms": 300.0, "bytes_ratio": 1.2}
"""What a step should take at most, and the resident bytes per byte of embeddings."""
CASES: dict[str, dict[str, Any]] = {
    "paper": {},
    "20_neighbors": {"neighbors": 20},
    "per_query": {"normalize": "per_query"},
    "float16": {"storage": "float16"},
    "released": {"compat": "released"},
}


def fill(memory: Any, queries: np.ndarray, responses: int, rng: np.random.Generator) -> None:
    """Write to random queries, at most 8 responses a time, until every ring is full."""
    pool = unit_vectors(rng, 4096)
    written = np.zeros(len(queries), np.int64)
    while (written < responses).any():
        for place in rng.permutation(np.flatnonzero(written < responses)):
            count, start = int(rng.integers(1, 9)), int(rng.integers(4000))
            for term in (memory.exploit, memory.explore):
                term.store.write(str(place), queries[place], pool[start : start + count])
            written[place] += count
    memory.dimension = DIMENSION


def measure(name: str, queries: int, responses: int) -> dict[str, Any]:
    """Fill a memory, and time steps of it."""
    from sparft_plugin.memory.base import MemoryGroup
    from sparft_plugin.memory.memory_r_plus import MemoryRPlus

    rng = np.random.default_rng(0)
    memory = MemoryRPlus(
        "benchmark",
        query_capacity=queries,
        response_capacity=responses,
        warmup_steps=0,
        **CASES[name],
    )
    known = unit_vectors(rng, queries)
    before = memory_of()
    fill(memory, known, responses, rng)
    took = memory_of() - before
    scored, written, computed = [], [], []
    for _ in range(STEPS):
        groups = [
            MemoryGroup(
                str(place),
                known[place],
                unit_vectors(rng, ROLLOUTS),
                rng.integers(0, 2, ROLLOUTS).astype(np.float64),
            )
            for place in rng.choice(queries, GROUPS, replace=False)
        ]
        begun = time.process_time()
        start = time.perf_counter()
        memory.score(groups)
        scored.append(time.perf_counter() - start)
        start = time.perf_counter()
        memory.write(groups)
        written.append(time.perf_counter() - start)
        computed.append(time.process_time() - begun)
    metrics = memory.metrics()
    raw = 2 * queries * responses * DIMENSION * memory.exploit.store.dtype.itemsize
    assert metrics["success"] == metrics["failure"] == queries * responses
    return {
        "case": name,
        "step_ms": round(1e3 * float(np.median(np.add(scored, written))), 1),
        "cpu_ms": round(1e3 * float(np.median(computed)), 1),
        "score_ms": round(1e3 * float(np.median(scored)), 1),
        "write_ms": round(1e3 * float(np.median(written)), 1),
        "embedding_bytes": raw,
        "bytes_ratio": round(took / raw, 3),
        "reported_ratio": round(metrics["bytes"] / raw, 3),
    }


def engines(queries: int) -> dict[str, float]:
    """Median milliseconds of the nearest of all queries to 64, by each engine."""
    import faiss
    import torch
    from threadpoolctl import threadpool_limits

    from sparft_plugin.memory.store import QueryIndex

    rng = np.random.default_rng(0)
    stored, asked = unit_vectors(rng, queries), unit_vectors(rng, GROUPS)
    tensors = torch.from_numpy(asked), torch.from_numpy(stored)
    flat = faiss.IndexFlatIP(DIMENSION)
    flat.add(stored)
    ours = QueryIndex(DIMENSION)
    for row, vector in enumerate(stored):
        ours.put(row, vector, row)
    doubles = asked.astype(np.float64), stored.astype(np.float64)

    def numpy_one_thread() -> Any:
        with threadpool_limits(1, user_api="blas"):
            return (asked @ stored.T).argmax(axis=1)

    ways: dict[str, Callable[[], Any]] = {
        "numpy_blas": lambda: (asked @ stored.T).argmax(axis=1),
        "numpy_blas_one_thread": numpy_one_thread,
        "torch": lambda: (tensors[0] @ tensors[1].T).argmax(dim=1),
        "faiss_flat": lambda: flat.search(asked, 1),
        "numpy_einsum_float64": lambda: np.einsum("nd,md->nm", *doubles).argmax(axis=1),
        "ours": lambda: ours.nearest(asked, 1, queries),
    }
    return {name: median_ms(way) for name, way in ways.items()}


def median_ms(way: Callable[[], Any]) -> float:
    """Median milliseconds of a call."""
    spent = []
    for _ in range(SEARCHES):
        start = time.perf_counter()
        way()
        spent.append(time.perf_counter() - start)
    return round(1e3 * float(np.median(spent)), 2)


def main() -> None:
    """Measure every case in a process of its own and write the JSON."""
    parser = parser_of(__file__, __doc__)
    parser.add_argument("--queries", type=int, default=7473)
    parser.add_argument("--responses", type=int, default=100)
    parser.add_argument("--case", choices=[*CASES, "engines"], help="measure this one and print it")
    given = parser.parse_args()
    if given.case:
        size = given.queries, given.responses
        tell(engines(given.queries) if given.case == "engines" else measure(given.case, *size))
        return
    size = ["--queries", given.queries, "--responses", given.responses]
    answers = {
        case: in_own_process(__file__, "--case", case, *size) for case in ("engines", *CASES)
    }
    result = {
        "queries": given.queries,
        "responses_per_query": given.responses,
        "dimension": DIMENSION,
        "rollouts": GROUPS * ROLLOUTS,
        "cores": CORES,
        "limits": LIMITS,
        "search_ms": answers.pop("engines"),
        "cases": list(answers.values()),
    }
    write(given.out, result)


if __name__ == "__main__":
    main()
