"""``sparft reduce --dry-run``: what would be done, and about what it would cost."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.corpus import Corpus
from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction.budget import parse_budget
from sparft_plugin.reduction.config import AUTO, ReductionConfig
from sparft_plugin.reduction.encode import missing_texts
from sparft_plugin.reduction.folders import cache_folder
from sparft_plugin.reduction.hygiene import Evaluation
from sparft_plugin.reduction.vectors.base import PART_ROWS

SAMPLE, RUNS = 128, 4
WIDTH = 384
BYTES_A_PROMPT = 300
ROW_SECONDS, CLUSTER_SECONDS = 2e-5, 3e-9
"""Measured on two cores: seconds per prompt, and per prompt, cluster and component."""


def plan(
    corpus: Corpus,
    prompts: PromptTable,
    evaluations: Sequence[Evaluation],
    config: ReductionConfig,
    arguments: argparse.Namespace,
) -> str:
    """Resolved options, row counts, and an estimate of time and memory.

    To estimate the time of encoding, 128 texts are encoded; their vectors are not kept.
    """
    lines = ["inputs:"]
    lines += [f"  {source.name}" for source in corpus.sources]
    lines.append(f"rows: {len(prompts) + prompts.duplicates}")
    lines.append(f"prompts: {len(prompts)} unique, {prompts.duplicates} duplicate rows")
    lines += [f"keep clear of: {len(e.texts)} prompts of {e.name}" for e in evaluations]
    lines.append(f"keep: {_kept(prompts, config)}")
    lines.append("options:")
    lines += [f"  {name}: {_plain(value)}" for name, value in asdict(config).items()]
    for name in ("difficulty", "embeddings", "decontaminate", "engine", "output", "report"):
        lines.append(f"  {name}: {_plain(getattr(arguments, name))}")
    sets = [prompts.texts, *(each.texts for each in evaluations)]
    seconds, encoding = _encoding(sets, config, arguments)
    lines.append(f"encoding: {encoding}")
    components = config.pca_components + bool(arguments.difficulty)
    clusters = 32 if config.clusters == AUTO else int(config.clusters)
    rest = 2 + len(prompts) * (ROW_SECONDS + clusters * components * CLUSTER_SECONDS)
    lines.append(
        f"time: about {_duration(seconds + rest)}, of which {_duration(rest)} is not encoding"
    )
    # Features once in float32, one block in float64 twice, sums of products, places and ids.
    held = len(prompts) * (BYTES_A_PROMPT + 3 * 4 * components) + 3 * 8 * PART_ROWS * WIDTH
    lines.append(f"memory: about {held / 2**20:.0f} MiB beside the encoder and the libraries")
    lines.append("nothing was written.")
    return "\n".join(lines) + "\n"


def _encoding(
    sets: Sequence[Sequence[str]], config: ReductionConfig, arguments: argparse.Namespace
) -> tuple[float, str]:
    if arguments.embeddings is not None:
        return 0.0, "none, embeddings are given"
    embedder, cache = config.build_embedder(), cache_folder("embeddings")
    missing = [missing_texts(texts, config.embedder, embedder, cache) for texts in sets]
    count = sum(map(len, missing))
    if not count:
        return 0.0, f"none, all texts are in the cache ({embedder.identity})"
    texts, at = max(zip(sets, missing, strict=True), key=lambda pair: len(pair[1]))
    sample = [texts[i] for i in _neighbours(texts, at)]
    embedder.encode(sample[:1])
    start = time.perf_counter()
    embedder.encode(sample)
    seconds = (time.perf_counter() - start) * count / len(sample)
    return seconds, (
        f"{count} texts with {embedder.identity}, about {_duration(seconds)} in this process"
    )


def _neighbours(texts: Sequence[str], missing: NDArray[np.int64]) -> list[int]:
    """Texts of similar length in runs, as encoding meets them, from all over the corpus."""
    sizes = np.array([len(texts[i]) for i in missing.tolist()])
    order = missing[np.argsort(sizes, kind="stable")]
    run = SAMPLE // RUNS
    starts = [int((i + 0.5) / RUNS * len(order)) for i in range(RUNS)]
    return sorted({int(i) for start in starts for i in order[start : start + run]})


def _kept(prompts: PromptTable, config: ReductionConfig) -> str:
    if config.budget is None:
        return f"clusters x {config.per_cluster} (clusters: {config.clusters})"
    budget = parse_budget(config.budget)
    if budget.unit == "tokens":
        return f"prompts of {int(budget.amount)} tokens in all"
    return f"{budget.prompts(len(prompts))} prompts"


def _plain(value: object) -> str:
    if value in (None, [], {}):
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
