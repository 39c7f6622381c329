"""What ``sparft reduce`` says on the terminal: the plan of a dry run, and the table of the arms."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.corpus import Corpus
from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction.budget import parse_budget
from sparft_plugin.reduction.config import AUTO, ReductionConfig
from sparft_plugin.reduction.coverage import Arm
from sparft_plugin.reduction.encode import missing_texts
from sparft_plugin.reduction.files import cache_folder
from sparft_plugin.reduction.hygiene import Evaluation
from sparft_plugin.reduction.pipeline import PickedTexts, pool_of
from sparft_plugin.reduction.result import Reduction
from sparft_plugin.reduction.vectors import IN_MEMORY

EXAMPLE_WIDTH = 56
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
    order, _ = pool_of(prompts, config, given=arguments.embeddings is not None)
    pool = PickedTexts(prompts.texts, order)
    lines = ["inputs:"]
    lines += [f"  {source.name}" for source in corpus.sources]
    lines.append(f"rows: {len(prompts) + prompts.duplicates}")
    lines.append(f"prompts: {len(prompts)} unique, {prompts.duplicates} duplicate rows")
    if len(pool) < len(prompts):
        lines.append(f"pool: a random sample of {len(pool)} prompts")
    lines += [f"keep clear of: {len(e.texts)} prompts of {e.name}" for e in evaluations]
    lines.append(f"keep: {_kept(prompts, config)}")
    lines.append("options:")
    lines += [f"  {name}: {_plain(value)}" for name, value in asdict(config).items()]
    for name in ("difficulty", "embeddings", "decontaminate", "engine", "output", "report"):
        lines.append(f"  {name}: {_plain(getattr(arguments, name))}")
    seconds, encoding = 0.0, "none, embeddings are given"
    if arguments.embeddings is None:
        seconds, encoding = _encoding([pool, *(e.texts for e in evaluations)], config)
    lines.append(f"encoding: {encoding}")
    components = config.pca_components + bool(arguments.difficulty)
    clusters = 32 if config.clusters == AUTO else int(config.clusters)
    rest = 2 + len(pool) * (ROW_SECONDS + clusters * components * CLUSTER_SECONDS)
    lines.append(
        f"time: about {_duration(seconds + rest)}, of which {_duration(rest)} is not encoding"
    )
    # Features once in float32 and once in float64, vectors as far as they lie in memory.
    held = len(prompts) * BYTES_A_PROMPT + len(pool) * 3 * 4 * components
    held += min(IN_MEMORY, len(pool) * WIDTH * 4)
    lines.append(f"memory: about {held / 2**20:.0f} MiB beside the encoder and the libraries")
    lines.append("nothing was written.")
    return "\n".join(lines) + "\n"


def _encoding(sets: Sequence[Sequence[str]], config: ReductionConfig) -> tuple[float, str]:
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
    if isinstance(value, dict):
        value = [f"{name}={each}" for name, each in value.items()]
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def summary(prompts: PromptTable, reduction: Reduction) -> str:
    """Table of the arms: prompts in the pool, kept, difficulty, radius, words and an example."""
    facts = reduction.facts
    lines = [
        f"kept {facts.kept} of {facts.prompts} prompts in {len(facts.arms)} arms; "
        f"{facts.duplicates} duplicate rows left out, {facts.shortfall} missing in small arms."
    ]
    if facts.sample is not None:
        lines.append(
            f"looked at a random sample of {facts.sample} prompts; --pool all looks at every one."
        )
    if facts.hygiene is not None:
        looked = (
            (facts.contaminated, "contaminated"),
            (facts.near_duplicates, "near-duplicates"),
        )
        counts = ", ".join(f"{count} {name}" for count, name in looked if count is not None)
        lines.append(f"left out: {counts}; the pairs are written beside the output.")
    lines.append(_coverage_line(reduction))
    lines.append(f"{'arm':>4} {'pool':>7} {'kept':>5} {'difficulty':>10} {'radius':>6}  example")
    position = dict(zip(prompts.ids, range(len(prompts)), strict=True))
    for arm in facts.arms:
        first = int(np.searchsorted(reduction.arms, arm.arm))
        example = prompts.texts[position[reduction.ids[first]]] if arm.kept else "-"
        lines.append(_arm_line(arm, example))
    return "\n".join(lines) + "\n"


def _coverage_line(reduction: Reduction) -> str:
    without = sum(count == 0 for count in reduction.counts)
    if without:
        return (
            f"coverage: arms without a kept prompt: {without}; raise the budget or lower clusters."
        )
    return (
        f"coverage: every prompt has a kept one of its arm within {reduction.coverage_radius:.2f}, "
        f"{reduction.mean_distance:.2f} on average (1 = spread of the corpus)."
    )


def _arm_line(arm: Arm, example: str) -> str:
    difficulty = "-" if arm.mean_difficulty is None else f"{arm.mean_difficulty:.2f}"
    radius = "-" if arm.radius is None else f"{arm.radius:.2f}"
    text = " ".join("".join(c if c.isprintable() else " " for c in example).split())
    short = text if len(text) <= EXAMPLE_WIDTH else text[: EXAMPLE_WIDTH - 1] + "…"
    return (
        f"{arm.arm:>4} {arm.pool:>7} {arm.kept:>5} {difficulty:>10} {radius:>6}  {short}\n"
        f"      {', '.join(arm.words)}"
    )


def say(text: str) -> None:
    """Write to stdout; characters that it cannot encode become question marks."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
