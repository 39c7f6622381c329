"""Several sources of difficulty, one difficulty for each prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError

UNKNOWN = 0.5
"""Difficulty that the source ``none`` gives to every prompt."""


@dataclass(frozen=True, eq=False)
class Source:
    """What one source knows of n prompts.

    Parameters
    ----------
    name : str
        As people name it: ``column:extra_info.level``, ``solved:FILE``, ``rollouts:DIR``, ``none``.
    values : ndarray of float64, shape (n,)
        Difficulty in [0, 1], 0 = always solved; NaN for a prompt that the source does not know.
    details : mapping
        Plain JSON about the source for the manifest.
    """

    name: str
    values: NDArray[np.float64]
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Difficulties:
    """One difficulty for each of n prompts, and where it comes from."""

    values: NDArray[np.float64]
    """Difficulty in [0, 1], 0 = always solved, shape (n,), no NaN."""
    source: NDArray[np.int64]
    """Index of the source that each difficulty comes from, shape (n,)."""
    manifest: dict[str, Any]
    """Plain JSON: ``{quantiles: bool, sources: [{name, known, count, ...details}]}``, where a
    source knows ``known`` prompts and was used for ``count``."""


def combine(sources: Sequence[Source], rows: NDArray[np.int64]) -> Difficulties:
    """Give each prompt the difficulty of the first source that knows it.

    If only one source is used, its values stand as they are. Values of different sources cannot be
    compared (a solve rate depends on the model), so where more than one is used each source's
    values are replaced by their mid-rank quantile among all prompts that this source knows:
    (rank - 0.5) / m, with ranks 1 .. m and equal values sharing the mean of their ranks.

    Parameters
    ----------
    sources : sequence of Source
        At least one, the most trusted first.
    rows : ndarray of int64, shape (n,)
        Row of each prompt, for messages.

    Raises
    ------
    SparftError
        If there is no source, a value lies outside [0, 1], or no source knows some prompt.
    """
    if not sources:
        raise SparftError("no source of difficulty was given; name one, or 'none'.")
    table = np.stack([_checked(source, rows) for source in sources])
    known = ~np.isnan(table)
    unknown = np.flatnonzero(~known.any(axis=0))
    if len(unknown):
        raise SparftError(
            f"the difficulty of {len(unknown)} prompts is not known, the first is row "
            f"{rows[unknown[0]]}; measure them with `sparft difficulty`, or add the source 'none', "
            f"which puts them at {UNKNOWN}."
        )
    chosen = known.argmax(axis=0)
    used = np.bincount(chosen, minlength=len(sources))
    quantiles = bool(np.count_nonzero(used) > 1)
    if quantiles:
        table = np.stack([mid_rank_quantiles(values) for values in table])
    values: NDArray[np.float64] = table[chosen, np.arange(len(rows))]
    entries = [
        {"name": s.name, "known": int(k.sum()), "count": int(u), **s.details}
        for s, k, u in zip(sources, known, used, strict=True)
    ]
    return Difficulties(
        values, chosen.astype(np.int64), {"quantiles": quantiles, "sources": entries}
    )


def mid_rank_quantiles(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace values by their mid-rank quantile; NaN stays and does not count.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        m of them not NaN.

    Returns
    -------
    ndarray of float64, shape (n,)
        (rank - 0.5) / m in (0, 1), equal values sharing the mean of their ranks; the mean is 0.5.
    """
    quantiles = np.full(len(values), np.nan)
    known = ~np.isnan(values)
    _, inverse, counts = np.unique(values[known], return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    # Equal values have the ranks last - count + 1 .. last.
    middle = last - (counts - 1) / 2
    quantiles[known] = (middle[inverse.reshape(-1)] - 0.5) / max(1, int(known.sum()))
    return quantiles


def scale_labels(
    labels: NDArray[np.float64],
    scale: tuple[float, float] | None,
    name: str,
    rows: NDArray[np.int64],
) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Map labels to difficulty.

    Parameters
    ----------
    labels : ndarray of float64, shape (n,)
        On the scale of the data; NaN where there is none.
    scale : (lo, hi), optional
        Labels of difficulty 0 and 1; lo > hi where larger is easier, as for a pass rate. None takes
        labels within [0, 1] as they are and maps the least and the largest of others to 0 and 1.
    name : str
        The column, for messages.
    rows : ndarray of int64, shape (n,)
        Row of each prompt, for messages.

    Returns
    -------
    values : ndarray of float64, shape (n,)
        In [0, 1].
    scale : (lo, hi)
        What was used.

    Raises
    ------
    SparftError
        If a label is infinite or off the given scale, no row has one, or all are equal and no
        scale says what they mean.
    """
    known = ~np.isnan(labels)
    if not known.any():
        raise SparftError(f"the column {name} has no label in any row; name another source.")
    infinite = np.flatnonzero(np.isinf(labels))
    if len(infinite):
        raise SparftError(
            f"the column {name} is infinite in row {rows[infinite[0]]}; correct or empty it."
        )
    low, high = scale or _range(labels[known], name)
    outside = known & ((labels < min(low, high)) | (labels > max(low, high)))
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        raise SparftError(
            f"the column {name} is {labels[first]:g} in row {rows[first]}, off the scale "
            f"{low:g}:{high:g}; correct the row or the scale."
        )
    # Half the values keep the difference finite for every pair of floats.
    values = np.clip((labels / 2 - low / 2) / (high / 2 - low / 2), 0.0, 1.0) + 0.0
    return (labels + 0.0 if (low, high) == (0.0, 1.0) else values), (low, high)


def _range(labels: NDArray[np.float64], name: str) -> tuple[float, float]:
    low, high = float(labels.min()), float(labels.max())
    if low >= 0.0 and high <= 1.0:
        return 0.0, 1.0
    if low == high:
        raise SparftError(
            f"the column {name} is {low:g} in every row, which says nothing without a scale; "
            f"write column:{name}@LO:HI."
        )
    return low, high


def _checked(source: Source, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    values = np.asarray(source.values, dtype=np.float64)
    if values.shape != rows.shape:
        raise SparftError(
            f"the source {source.name} has {len(values)} values for {len(rows)} prompts; give one "
            "for each."
        )
    wrong = np.flatnonzero((values < 0.0) | (values > 1.0))
    if len(wrong):
        raise SparftError(
            f"the source {source.name} gives row {rows[wrong[0]]} the difficulty "
            f"{values[wrong[0]]:g}; it must be in [0, 1]."
        )
    return values
