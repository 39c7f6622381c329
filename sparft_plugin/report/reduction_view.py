"""What the page of a reduction shows beyond its manifest: a map, samples, random subsets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction.coverage import Pool
from sparft_plugin.reduction.result import Reduction

POINTS = 3000
SAMPLES = 5
TEXT = 1000


def reduction_view(
    reduction: Reduction, prompts: PromptTable
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Gather what ``reduction_page`` draws.

    Parameters
    ----------
    reduction : Reduction
        Fresh from ``reduce``, with its pool.
    prompts : PromptTable
        What was reduced.

    Returns
    -------
    dict
        The manifest, with ``coverage.random`` and ``seconds``.
    dict
        ``points``: all kept prompts and the first others by id, at most 3,000; ``samples``: kept
        texts of each arm.
    """
    pool = reduction.pool
    if pool is None:
        raise ValueError("a reduction without its pool cannot be drawn")
    position = dict(zip(prompts.ids, range(len(prompts)), strict=True))

    def text(row: int) -> str:
        return prompts.texts[position[pool.ids[row]]][:TEXT]

    coverage = reduction.manifest["coverage"] | {"random": pool.random_coverage()}
    manifest = reduction.manifest | {"coverage": coverage, "seconds": reduction.seconds}
    arms = range(int(pool.arms.max()) + 1)
    kept = {arm: pool.kept[pool.arms[pool.kept] == arm][:SAMPLES] for arm in arms}
    samples = {str(arm): [text(int(row)) for row in rows] for arm, rows in kept.items()}
    return manifest, {"points": _points(pool, text), "samples": samples}


def _points(pool: Pool, text: Any) -> list[Mapping[str, Any]]:
    is_kept = np.zeros(len(pool.ids), dtype=bool)
    is_kept[pool.kept[:POINTS]] = True
    others = np.flatnonzero(~is_kept)[: max(0, POINTS - int(is_kept.sum()))]
    shown = np.sort(np.concatenate([np.flatnonzero(is_kept), others]))
    flat = np.zeros((len(pool.ids), 2), dtype=np.float32)
    width = min(2, pool.features.shape[1])
    flat[:, :width] = pool.features[:, :width]
    return [
        {
            "x": round(float(flat[row, 0]), 5),
            "y": round(float(flat[row, 1]), 5),
            "arm": int(pool.arms[row]),
            "kept": bool(is_kept[row]),
            "text": text(int(row)),
        }
        for row in shown.tolist()
    ]
