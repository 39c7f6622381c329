"""From ``--difficulty column:NAME`` and its like to one difficulty for each prompt."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.corpus import Corpus
from sparft_plugin.difficulty.rollouts import JoinKeys, read_join_keys, read_rollouts
from sparft_plugin.difficulty.solved import SOLVED_ABOVE, read_solved
from sparft_plugin.errors import SparftError, require, unknown_name
from sparft_plugin.prompts import PromptTable

KINDS = ("column", "solved", "rollouts", "none")
FORMS = "column:NAME[@LO:HI], solved:FILE, rollouts:DIR or none"
UNKNOWN = 0.5
"""Difficulty that the source ``none`` gives to every prompt."""


class SourceSpec(NamedTuple):
    """A source as it is named on the command line: a kind of ``KINDS``, its column, file or folder.

    The scale is the labels (lo, hi) of a column that stand for difficulty 0 and 1.
    """

    kind: str
    target: str = ""
    scale: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class Source:
    """What one source knows of n prompts."""

    name: str
    """As people name it: ``column:level``, ``solved:FILE``, ``rollouts:DIR`` or ``none``."""
    values: NDArray[np.float64]
    """Difficulty in [0, 1], 0 = always solved, shape (n,); NaN for a prompt it does not know."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Plain JSON about the source for the manifest."""


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


def parse_source(text: str) -> SourceSpec:
    """Read ``column:NAME[@LO:HI]``, ``solved:FILE``, ``rollouts:DIR`` or ``none``.

    A label LO stands for difficulty 0 and HI for 1; a pass rate is ``@1:0``.
    """
    kind, _, target = text.partition(":")
    if kind not in KINDS:
        if ":" not in text and "." in text:
            raise SparftError(f"the source of difficulty '{text}' has no kind; column:{text}?")
        raise unknown_name("source of difficulty", kind, KINDS)
    if bool(target) == (kind == "none"):
        raise SparftError(f"the source of difficulty '{text}' must be {FORMS}.")
    name, at, scale = target.rpartition("@")
    if kind != "column" or not at:
        return SourceSpec(kind, target)
    return SourceSpec(kind, name, _parse_scale(scale, text))


def label_keys(specs: Sequence[SourceSpec]) -> list[str]:
    """Columns that the prompt table must read for these sources."""
    return [spec.target for spec in specs if spec.kind == "column"]


def find_difficulties(
    specs: Sequence[SourceSpec],
    prompts: PromptTable,
    corpus: Corpus,
    *,
    solved_above: float = SOLVED_ABOVE,
) -> tuple[Difficulties, NDArray[np.float64] | None]:
    """Read every source and give each prompt the difficulty of the first that knows it.

    At least one source, the most trusted first; the n prompts have the labels of ``label_keys``. A
    logged rollout without ``acc`` is solved if its score is above `solved_above`. The second result
    is ``RolloutHistory.curves``, (n, visits), of the first source of rollouts; None without one.
    """
    curves: NDArray[np.float64] | None = None
    keys: JoinKeys | None = None
    sources: list[Source] = []
    for spec in specs:
        path = Path(spec.target)
        if spec.kind == "column":
            sources.append(column_source(spec, prompts))
        elif spec.kind == "solved":
            values, strangers = read_solved(path, prompts.ids)
            sources.append(Source(f"solved:{path.name}", values, {"strangers": strangers}))
        elif spec.kind == "rollouts":
            keys = keys or read_join_keys(prompts, corpus)
            history = read_rollouts(path, keys, solved_above=solved_above)
            name = f"rollouts:{path.resolve().name}"
            sources.append(Source(name, 1.0 - history.solve_rates, history.lines))
            curves = history.curves if curves is None else curves
        else:
            sources.append(Source("none", np.full(len(prompts), UNKNOWN)))
    return combine(sources, prompts.rows), curves


def column_source(spec: SourceSpec, prompts: PromptTable) -> Source:
    """Difficulty from a column of labels; the manifest says which labels are 0 and 1."""
    labels = prompts.labels[spec.target]
    values, (low, high) = scale_labels(labels, spec.scale, spec.target, prompts.rows)
    return Source(f"column:{spec.target}", values, {"lo": low, "hi": high})


def combine(sources: Sequence[Source], rows: NDArray[np.int64]) -> Difficulties:
    """Give each prompt the difficulty of the first source that knows it.

    If only one source is used, its values stand as they are. Values of different sources cannot be
    compared (a solve rate depends on the model), so where more than one is used each source's
    values are replaced by their mid-rank quantile among all prompts that this source knows. A
    prompt that no source knows is a SparftError, which names its row.
    """
    require(bool(sources), "no source of difficulty was given; name one, or 'none'.")
    table = np.stack([source.values for source in sources])
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
    manifest = {"quantiles": quantiles, "sources": entries}
    return Difficulties(values, chosen.astype(np.int64), manifest)


def mid_rank_quantiles(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace m known values by (rank - 0.5) / m in (0, 1), equal ones sharing their mean rank.

    NaN stays and does not count; the mean of the others is 0.5.
    """
    from scipy.stats import rankdata

    known = ~np.isnan(values)
    quantiles = np.full(len(values), np.nan)
    quantiles[known] = (rankdata(values[known]) - 0.5) / max(1, int(known.sum()))
    return quantiles


def scale_labels(
    labels: NDArray[np.float64],
    scale: tuple[float, float] | None,
    name: str,
    rows: NDArray[np.int64],
) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Map labels, NaN where there is none, to difficulty in [0, 1]; also gives the scale used.

    The scale (lo, hi) says which labels are difficulty 0 and 1; lo > hi where larger is easier, as
    for a pass rate. None takes labels within [0, 1] as they are and maps the least and the largest
    of others to 0 and 1. Name and rows are for messages.
    """
    known = ~np.isnan(labels)
    require(bool(known.any()), f"the column {name} has no label in any row; name another source.")
    infinite = np.flatnonzero(np.isinf(labels))
    if len(infinite):
        raise SparftError(
            f"the column {name} is infinite in row {rows[infinite[0]]}; correct or empty it."
        )
    least, largest = float(labels[known].min()), float(labels[known].max())
    low, high = scale or ((0.0, 1.0) if least >= 0.0 and largest <= 1.0 else (least, largest))
    require(
        low != high,
        f"the column {name} is {low:g} in every row, which says nothing without a scale; write "
        f"column:{name}@LO:HI.",
    )
    outside = np.flatnonzero((labels < min(low, high)) | (labels > max(low, high)))
    if len(outside):
        first = outside[0]
        raise SparftError(
            f"the column {name} is {labels[first]:g} in row {rows[first]}, off the scale "
            f"{low:g}:{high:g}; correct the row or the scale."
        )
    # Half the values keep the difference finite for every pair of floats.
    values = np.clip((labels / 2 - low / 2) / (high / 2 - low / 2), 0.0, 1.0) + 0.0
    return (labels + 0.0 if (low, high) == (0.0, 1.0) else values), (low, high)


def _parse_scale(text: str, source: str) -> tuple[float, float]:
    try:
        low, high = map(float, text.split(":"))
    except ValueError as error:
        raise SparftError(
            f"the scale '{text}' of '{source}' must be LO:HI, the labels of difficulty 0 and 1, "
            "such as 1:0 for a pass rate."
        ) from error
    if not (math.isfinite(low) and math.isfinite(high)) or low == high:
        raise SparftError(f"the scale '{text}' of '{source}' must be two different finite numbers.")
    return low, high
