"""The manifest: everything needed to judge a reduction or to make it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sparft_plugin
from sparft_plugin.reduction.config import ReductionConfig
from sparft_plugin.reduction.explain import Pool, coverage, describe_arms, difficulty_histogram

METHOD = "SPaRFT stage one: embed, cluster, keep representatives (arXiv 2508.05015)"


def build_manifest(
    data: Mapping[str, Any],
    config: ReductionConfig,
    pool: Pool,
    words: Sequence[Sequence[str]],
    choice: Mapping[str, Any],
) -> dict[str, Any]:
    """Describe a reduction in plain JSON values.

    Nothing in it depends on the order of rows, the machine or the time. ``near_duplicates`` and
    ``contaminated`` are null where they were not looked for.

    Parameters
    ----------
    data : mapping
        What was reduced: ``source``, ``fingerprint``, ``duplicates``, ``encoder``, ``difficulty``
        and ``hygiene``.
    config : ReductionConfig
        How.
    pool : Pool
        All prompts with their arms.
    words : sequence of sequence of str
        Distinctive words of each arm; empty without texts.
    choice : mapping
        ``shortfall``, ``silhouette`` and ``tokens`` of what was kept.
    """
    hygiene = data["hygiene"] or {}
    contaminated = hygiene.get("contaminated", {})
    return {
        "method": METHOD,
        "version": sparft_plugin.__version__,
        "options": asdict(config),
        "seed": config.seed,
        "encoder": data["encoder"],
        "source": data["source"],
        "fingerprint": data["fingerprint"],
        "pool": len(pool.ids),
        "kept": len(pool.kept),
        "duplicates": data["duplicates"],
        "near_duplicates": None if config.near_duplicates is None else hygiene["near_duplicates"],
        "contaminated": contaminated["total"] if contaminated.get("by_file") else None,
        "hygiene": data["hygiene"],
        "shortfall": choice["shortfall"],
        "tokens": choice["tokens"],
        "difficulty": data["difficulty"],
        "difficulty_histogram": difficulty_histogram(pool),
        "arms": describe_arms(pool, words),
        "coverage": coverage(pool),
        "silhouette": choice["silhouette"],
    }
