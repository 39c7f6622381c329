"""Prompts that say almost the same, within the pool or as an evaluation prompt does."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError
from sparft_plugin.reduction.vectors import one_thread

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

BLOCK = 2048
"""Vectors of one side of a product; blocks start at fixed rows, so that cosines keep their bits."""
ROUNDING = 3e-5
"""How far the dot of two vectors is from their cosine, where norms are 1 to within 1e-5."""


class NearDuplicate(NamedTuple):
    """A prompt to remove and the kept prompt that says almost the same."""

    removed: int
    """Position of the prompt to remove."""
    kept: int
    """Position of the prompt that stands for it."""
    cosine: float


def near_duplicates(
    vectors: Floats, threshold: float, among: NDArray[np.bool_] | None = None
) -> list[NearDuplicate]:
    """Find the prompts that an earlier one makes superfluous.

    Row by row, a prompt is removed iff the cosine with an earlier row that is KEPT is at least
    ``threshold``. So no two kept prompts are that similar, and every removed one has a kept one.

    Every row is compared with every kept row before it: at most n^2 d float32 operations, which is
    a minute of a core for 100,000 rows of 384 numbers. Blocks are multiplied side by side, each in
    one thread, so the number of cores changes no bit.

    ``vectors``, shape (n, d), are unit vectors in the order of their sorted ids, possibly a memory
    map; ``threshold`` in (0, 1] holds to within 3e-5; ``among``, shape (n,), are the rows to
    compare. Returned are removed rows in order, each with its earliest kept near-duplicate.
    """
    check_threshold("near_duplicate_threshold", threshold)
    rows = np.arange(len(vectors)) if among is None else np.flatnonzero(among)
    least, kept = threshold - ROUNDING, np.empty(0, np.int64)
    found: list[NearDuplicate] = []
    with one_thread(), ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(rows), BLOCK):
            here = rows[start : start + BLOCK]
            block = vectors[here]
            partner, cosine = _first_above(pool, block, vectors, kept, least)
            own = np.tril(block @ block.T, -1)
            for i in np.flatnonzero((partner < 0) & (own.max(axis=1, initial=0.0) >= least)):
                earlier = np.flatnonzero((own[i, :i] >= least) & (partner[:i] < 0))
                if len(earlier):
                    partner[i], cosine[i] = here[earlier[0]], own[i, earlier[0]]
            kept = np.concatenate([kept, here[partner < 0]])
            found += [
                NearDuplicate(int(here[i]), int(partner[i]), min(1.0, float(cosine[i])))
                for i in np.flatnonzero(partner >= 0)
            ]
    return found


def _first_above(
    pool: ThreadPoolExecutor, block: Floats, vectors: Floats, kept: Rows, least: float
) -> tuple[Rows, Floats]:
    """The earliest kept row whose cosine reaches ``least``, and that cosine; -1 where none does."""
    partner, cosine = np.full(len(block), -1), np.zeros(len(block), np.float32)

    def look(start: int) -> tuple[Rows, Floats]:
        rows = kept[start : start + BLOCK]
        near = block @ vectors[rows].T
        first = (near >= least).argmax(axis=1)
        return rows[first], near[np.arange(len(near)), first]

    for rows, cosines in pool.map(look, range(0, len(kept), BLOCK)):
        new = (partner < 0) & (cosines >= least)
        partner[new], cosine[new] = rows[new], cosines[new]
    return partner, cosine


def similar(vectors: Floats, evaluation: Floats, threshold: float) -> list[tuple[int, int, float]]:
    """Find the training prompts that resemble an evaluation prompt.

    Unit vectors of both are given, shapes (n, d) and (m, d), and the least cosine in (0, 1], which
    holds to within 3e-5. Returned are, in the order of training prompts, each with such a cosine,
    its most similar evaluation prompt, the first of equal ones, and the cosine. Costs 2 n m d
    operations.
    """
    check_threshold("similarity_threshold", threshold)

    def look(start: int) -> list[tuple[int, int, float]]:
        block = vectors[start : start + BLOCK]
        prompt, best = np.zeros(len(block), np.int64), np.full(len(block), -np.inf, np.float32)
        for left in range(0, len(evaluation), BLOCK):
            near = block @ evaluation[left : left + BLOCK].T
            nearest = near.argmax(axis=1)
            cosines = near[np.arange(len(near)), nearest]
            better = cosines > best
            prompt[better], best[better] = left + nearest[better], cosines[better]
        return [
            (start + int(i), int(prompt[i]), min(1.0, float(best[i])))
            for i in np.flatnonzero(best >= threshold - ROUNDING)
        ]

    with one_thread(), ThreadPoolExecutor(os.cpu_count()) as pool:
        parts = list(pool.map(look, range(0, len(vectors), BLOCK)))
    return [found for part in parts for found in part]


def check_threshold(name: str, value: float) -> None:
    """Refuse a cosine threshold outside (0, 1], or NaN."""
    if not 0.0 < value <= 1.0:
        raise SparftError(f"{name}={value:g} must be a cosine above 0 and at most 1, such as 0.9.")
