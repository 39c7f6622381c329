"""Training prompts whose embedding is close to that of an evaluation prompt."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.reduction.hygiene.cosine import DOUBT, check_threshold, cosine
from sparft_plugin.reduction.vectors import Vectors, blocks

Floats = NDArray[np.float32]

_CHUNK = 2048
# Dots this close may rank otherwise as cosines, since float32 vectors are not quite of norm 1.
_TIE = 1e-5


class Similar(NamedTuple):
    """A training prompt and the evaluation prompt that is most like it."""

    position: int
    """Position of the training prompt."""
    prompt: int
    """Position of the evaluation prompt."""
    cosine: float


def similar(vectors: Vectors, evaluation: Floats, threshold: float) -> list[Similar]:
    """Find the training prompts that resemble an evaluation prompt.

    Costs O(n m d) float32 multiplications; memory is that of ``evaluation`` and one block. A
    float32 cosine within ``DOUBT`` of the threshold or of the best match is settled by ``cosine``,
    so neither order nor blocks nor threads change the result.

    Parameters
    ----------
    vectors : Vectors
        Unit vectors of the n training prompts.
    evaluation : ndarray of float32, shape (m, d)
        Unit vectors of the evaluation prompts.
    threshold : float in (0, 1]
        Least cosine.

    Returns
    -------
    list of Similar
        One for each training prompt with a cosine >= ``threshold``: its most similar evaluation
        prompt, the first of equal ones. In the order of training prompts.

    Raises
    ------
    SparftError
        If the threshold is out of range.
    """
    check_threshold("similarity_threshold", threshold)
    found = []
    for place, block in blocks(vectors):
        best = _largest(block, evaluation)
        for row in np.flatnonzero(best >= threshold - DOUBT):
            prompt, value = _best_match(block[row], evaluation, float(best[row]) - 2 * DOUBT)
            if value >= threshold:
                found.append(Similar(place.start + int(row), prompt, value))
    return sorted(found)


def _largest(block: Floats, evaluation: Floats) -> Floats:
    """Largest float32 dot of each row with any evaluation vector, shape (b,)."""
    best = np.full(len(block), -np.inf, dtype=np.float32)
    for top in range(0, len(block), _CHUNK):
        part = best[top : top + _CHUNK]
        for left in range(0, len(evaluation), _CHUNK):
            dots = block[top : top + _CHUNK] @ evaluation[left : left + _CHUNK].T
            np.maximum(part, dots.max(axis=1), out=part)
    return best


def _best_match(vector: Floats, evaluation: Floats, least: float) -> tuple[int, float]:
    """The evaluation prompt of the largest cosine, among those of a float32 dot >= ``least``."""
    near = np.flatnonzero(evaluation @ vector >= least)
    dots = evaluation[near].astype(np.float64) @ vector.astype(np.float64)
    tied = near[dots >= dots.max() - _TIE]
    values = [cosine(vector, evaluation[prompt]) for prompt in tied]
    place = int(np.argmax(values))
    return int(tied[place]), values[place]
