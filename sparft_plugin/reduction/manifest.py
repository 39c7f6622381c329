"""The manifest: everything needed to judge a reduction or to make it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

import sparft_plugin
from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction.config import ReductionConfig

METHOD = "SPaRFT stage one: embed, cluster, keep representatives (arXiv 2508.05015)"


def build_manifest(
    prompts: PromptTable,
    config: ReductionConfig,
    pool_arms: NDArray[np.int64],
    kept_arms: NDArray[np.int64],
    kept_difficulties: NDArray[np.float64],
    encoder: str,
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """Describe a reduction in plain JSON values.

    Parameters
    ----------
    prompts, config
        What was reduced, and how.
    pool_arms : ndarray of int64, shape (n,)
        Arm of every prompt.
    kept_arms : ndarray of int64, shape (m,)
        Arm of every kept prompt.
    kept_difficulties : ndarray of float64, shape (m,)
        Difficulty of every kept prompt, NaN if unknown.
    encoder : str
        Identity of the encoder.
    seconds : mapping
        Time of each part in seconds.
    """
    sizes = np.bincount(pool_arms, minlength=config.clusters)
    arms = [
        {
            "arm": arm,
            "pool": int(sizes[arm]),
            "kept": int((kept_arms == arm).sum()),
            "mean_difficulty": _mean(kept_difficulties[kept_arms == arm]),
        }
        for arm in range(config.clusters)
    ]
    return {
        "method": METHOD,
        "version": sparft_plugin.__version__,
        "options": asdict(config),
        "seed": config.seed,
        "encoder": encoder,
        "source": prompts.source,
        "fingerprint": prompts.fingerprint,
        "pool": len(prompts),
        "kept": len(kept_arms),
        "duplicates": prompts.duplicates,
        "shortfall": int(np.maximum(0, config.per_cluster - sizes).sum()),
        "difficulty": _difficulty(prompts),
        "arms": arms,
        "seconds": dict(seconds),
    }


def _mean(values: NDArray[np.float64]) -> float | None:
    return None if np.isnan(values).any() else float(values.mean())


def _difficulty(prompts: PromptTable) -> dict[str, Any] | None:
    """Labels lo and hi stand for difficulty 0 and 1."""
    if prompts.difficulty_range is None:
        return None
    low, high = prompts.difficulty_range
    return {"key": prompts.difficulty_key, "lo": low, "hi": high}
