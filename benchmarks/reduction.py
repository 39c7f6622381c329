"""What a reduction costs and how well it covers: ratios taken in one run, as JSON.

python benchmarks/reduction.py [--gsm8k FOLDER] [--sizes 10000 100000 1000000]

Every measurement runs in a process of its own, so that peak memory is its own too.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import CORES, GSM8K, in_own_process, memory_of, parser_of, tell, write

WIDTH, CLUSTERS, PER_CLUSTER = 384, 100, 10
CENTRES, SPREAD, BLOCK = 1000, 0.8, 50_000
COMPONENTS = 32


def write_embeddings(path: Path, rows: int) -> None:
    """Write a mixture of 1,000 Gaussians around random unit vectors, shape (rows, 384) float32."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(CENTRES, WIDTH)) / np.sqrt(WIDTH)
    file = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(rows, WIDTH))
    for start in range(0, rows, BLOCK):
        count = min(BLOCK, rows - start)
        noise = rng.normal(size=(count, WIDTH)) * (SPREAD / np.sqrt(WIDTH))
        block = centres[rng.integers(CENTRES, size=count)] + noise
        file[start : start + count] = block / np.linalg.norm(block, axis=1, keepdims=True)
    file.flush()


class Clock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self.start = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, Any]:
        """Seconds of the wall, and of all cores."""
        wall, cpu = time.perf_counter() - self.start[0], time.process_time() - self.start[1]
        return {"seconds": wall, "cpu_seconds": cpu}


def ours(path: Path) -> dict[str, Any]:
    """Reduce a file of embeddings with this package; imports are not timed, as in ``plain``."""
    import sklearn.cluster  # noqa: F401

    from sparft_plugin.reduction import ReductionConfig, from_embeddings

    config = ReductionConfig(clusters=CLUSTERS, per_cluster=PER_CLUSTER, pca_components=COMPONENTS)
    clock = Clock()
    reduction = from_embeddings(path, config)
    return clock.read() | {"parts": reduction.seconds, "kept": len(reduction)}


def plain(path: Path) -> dict[str, Any]:
    """Do the same with scikit-learn as one would write it: PCA, MiniBatchKMeans, a loop."""
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.decomposition import PCA

    clock = Clock()
    features = PCA(COMPONENTS, random_state=0).fit_transform(np.load(path))
    labels = MiniBatchKMeans(CLUSTERS, random_state=0).fit_predict(features)
    kept = 0
    for label in range(CLUSTERS):
        members = features[labels == label]
        chosen = [int(np.linalg.norm(members - members.mean(axis=0), axis=1).argmin())]
        nearest = np.full(len(members), np.inf)
        while len(chosen) < min(PER_CLUSTER, len(members)):
            gap = np.linalg.norm(members - members[chosen[-1]], axis=1)
            nearest = np.minimum(nearest, gap)
            chosen.append(int(nearest.argmax()))
        kept += len(chosen)
    return clock.read() | {"kept": kept}


def gsm8k(folder: Path) -> dict[str, Any]:
    """Reduce the GSM8K training questions to 100 from an empty cache, and compare selectors."""
    from scipy.spatial.distance import cdist

    from sparft_plugin.corpus import Columns, Corpus
    from sparft_plugin.prompts import PromptTable
    from sparft_plugin.reduction import ReductionConfig, reduce

    columns = Columns(mapping={"prompt": "question", "answer": "answer"}, data_source="gsm8k")
    with tempfile.TemporaryDirectory() as cache:
        os.environ["SPARFT_CACHE"] = cache
        start = time.perf_counter()
        prompts = PromptTable.from_corpus(Corpus.open([folder / "train.jsonl"], columns))
        read = time.perf_counter() - start
        reduction = reduce(prompts, ReductionConfig(), progress=False)
        seconds = time.perf_counter() - start
        embed = reduction.seconds["embed"]
        every = {
            name: reduce(prompts, ReductionConfig(selector=name, pool="all"), progress=False)
            for name in ("farthest_point", "medoid", "nearest_centroid", "random")
        }
    pool = every["farthest_point"].pool
    assert pool is not None
    draws = pool.random_coverage(draws=100)
    place = {name: row for row, name in enumerate(pool.ids)}

    def nearest(ids: Sequence[str]) -> dict[str, float]:
        kept = pool.features[[place[name] for name in ids]]
        gaps = cdist(pool.features, kept).min(axis=1)
        return {"radius": round(gaps.max(), 4), "mean_distance": round(gaps.mean(), 4)}

    return {
        "prompts": len(prompts),
        "sample": reduction.facts.sample,
        "kept": len(reduction),
        "seconds": round(seconds, 2),
        "encoding_seconds": embed,
        "other_seconds": round(seconds - embed, 3),
        "other_over_encoding": round((seconds - embed) / embed, 5),
        "parts": reduction.seconds | {"read": round(read, 4)},
        "coverage": {name: each.manifest["coverage"] for name, each in every.items()},
        "nearest_of_any_arm": {
            "sample": nearest(reduction.ids),
            "all": nearest(every["farthest_point"].ids),
        },
        "random_radius_of_100_draws": {
            "smallest": min(draws["radius"]),
            "median": float(np.median(draws["radius"])),
        },
    }


def cached(folder: Path) -> dict[str, Any]:
    """CPU seconds of ``sparft reduce`` of 1,000 questions whose vectors are in the cache."""
    lines = (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()[:1000]
    columns = ["--map", "prompt=question", "answer=answer", "--data-source", "gsm8k"]
    seconds = []
    with tempfile.TemporaryDirectory() as scratch:
        source, out = Path(scratch, "in.jsonl"), Path(scratch, "out.parquet")
        source.write_text("\n".join(lines), encoding="utf-8")
        command = [sys.executable, "-m", "sparft_plugin", "reduce", str(source), "-o", str(out)]
        environment = os.environ | {"SPARFT_CACHE": scratch}
        for _ in range(4):
            before = os.times()
            subprocess.run(
                [*command, *columns, "--overwrite"],
                check=True,
                env=environment,
                capture_output=True,
            )
            after = os.times()
            spent = after.children_user + after.children_system
            seconds.append(round(spent - before.children_user - before.children_system, 2))
    return {"rows": len(lines), "cpu_seconds": min(seconds[1:]), "first_cpu_seconds": seconds[0]}


CASES = {"ours": ours, "plain": plain, "gsm8k": gsm8k, "cached": cached}


def run(sizes: Sequence[int], folder: Path, scratch: Path) -> dict[str, Any]:
    """Measure everything and put ratios beside it."""
    points = []
    for rows in sizes:
        path = scratch / f"{rows}.npy"
        write_embeddings(path, rows)
        mine, theirs = (
            in_own_process(__file__, "--case", case, path) for case in ("ours", "plain")
        )
        path.unlink()
        points.append(
            {
                "rows": rows,
                "ours": mine,
                "plain": theirs,
                "speed_over_plain": round(theirs["seconds"] / mine["seconds"], 2),
                "cpu_over_plain": round(theirs["cpu_seconds"] / mine["cpu_seconds"], 2),
                "microseconds_per_row": round(1e6 * mine["seconds"] / rows, 2),
            }
        )
    questions = (folder / "train.jsonl").exists()
    return {
        "embeddings": {
            "width": WIDTH,
            "clusters": CLUSTERS,
            "per_cluster": PER_CLUSTER,
            "points": points,
        },
        "gsm8k": in_own_process(__file__, "--case", "gsm8k", folder) if questions else None,
        "cached": in_own_process(__file__, "--case", "cached", folder) if questions else None,
        "cores": CORES,
    }


def main() -> None:
    """Parse the command line, measure and write the JSON."""
    parser = parser_of(__file__, __doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--gsm8k", type=Path, default=GSM8K, metavar="FOLDER")
    parser.add_argument("--case", nargs=2, metavar=("NAME", "PATH"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        found = CASES[arguments.case[0]](Path(arguments.case[1]))
        tell(found | {"peak_gib": round(memory_of("VmHWM") / 2**30, 3)})
        return
    with tempfile.TemporaryDirectory() as scratch:
        result = run(arguments.sizes, arguments.gsm8k, Path(scratch))
    write(arguments.out, result)


if __name__ == "__main__":
    main()
