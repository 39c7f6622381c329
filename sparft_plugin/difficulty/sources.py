"""From ``--difficulty column:NAME`` and its like to one difficulty for each prompt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.corpus import Corpus
from sparft_plugin.corpus.rows import canonical_json
from sparft_plugin.difficulty.combine import (
    UNKNOWN,
    Difficulties,
    Source,
    combine,
    scale_labels,
)
from sparft_plugin.difficulty.rollouts import JoinKeys, RolloutHistory, read_rollouts
from sparft_plugin.difficulty.solved_file import read_solved
from sparft_plugin.difficulty.texts import rows_of
from sparft_plugin.difficulty.verifier import SOLVED_ABOVE
from sparft_plugin.errors import SparftError, unknown_name
from sparft_plugin.prompts import PromptTable

KINDS = ("column", "solved", "rollouts", "none")
FORMS = "column:NAME[@LO:HI], solved:FILE, rollouts:DIR or none"


class SourceSpec(NamedTuple):
    """A source of difficulty as it is named on the command line."""

    kind: str
    """``column``, ``solved``, ``rollouts`` or ``none``."""
    target: str = ""
    """Name of the column, file or folder; empty for ``none``."""
    scale: tuple[float, float] | None = None
    """Labels (lo, hi) of a column that stand for difficulty 0 and 1."""


def parse_source(text: str) -> SourceSpec:
    """Read ``column:NAME[@LO:HI]``, ``solved:FILE``, ``rollouts:DIR`` or ``none``.

    A label LO stands for difficulty 0 and HI for 1; a pass rate is ``@1:0``.

    Raises
    ------
    SparftError
        If it is none of them.
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

    Parameters
    ----------
    specs : sequence of SourceSpec
        At least one, the most trusted first.
    prompts : PromptTable
        n prompts, with the labels of ``label_keys(specs)``.
    corpus : Corpus
        The rows behind them.
    solved_above : float, default 0.5
        A logged rollout without ``acc`` is solved if its score is above.

    Returns
    -------
    difficulties : Difficulties
        One for each prompt.
    curves : ndarray of float64, shape (n, visits), or None
        ``RolloutHistory.curves`` of the first source of rollouts; None without one.

    Raises
    ------
    SparftError
        If a source cannot be read or knows none of the prompts, or some prompt is known to none.
    """
    curves: NDArray[np.float64] | None = None
    sources: list[Source] = []
    keys: JoinKeys | None = None
    for spec in specs:
        if spec.kind == "column":
            sources.append(column_source(spec, prompts))
        elif spec.kind == "solved":
            sources.append(solved_source(Path(spec.target), prompts))
        elif spec.kind == "rollouts":
            keys = keys or read_join_keys(prompts, corpus)
            source, history = rollouts_source(Path(spec.target), keys, solved_above)
            sources.append(source)
            curves = history.curves if curves is None else curves
        else:
            sources.append(Source("none", np.full(len(prompts), UNKNOWN)))
    return combine(sources, prompts.rows), curves


def column_source(spec: SourceSpec, prompts: PromptTable) -> Source:
    """Difficulty from a column of labels; the manifest says which labels are 0 and 1.

    Raises
    ------
    SparftError
        As ``scale_labels`` does.
    """
    values, (low, high) = scale_labels(
        prompts.labels[spec.target], spec.scale, spec.target, prompts.rows
    )
    return Source(f"column:{spec.target}", values, {"lo": low, "hi": high})


def solved_source(path: Path, prompts: PromptTable) -> Source:
    """Difficulty from a file of ``sparft difficulty``; the manifest counts its strangers.

    Raises
    ------
    SparftError
        As ``read_solved`` does.
    """
    values, strangers = read_solved(path, prompts.ids)
    return Source(f"solved:{path.name}", values, {"strangers": strangers})


def rollouts_source(
    folder: Path, keys: JoinKeys, solved_above: float = SOLVED_ABOVE
) -> tuple[Source, RolloutHistory]:
    """Difficulty from logged rollouts, and all that was logged; the manifest counts the lines.

    Raises
    ------
    SparftError
        As ``read_rollouts`` does.
    """
    history = read_rollouts(folder, keys, solved_above=solved_above)
    counts = ("joined", "unmatched", "ambiguous", "other_truth")
    details: dict[str, Any] = {name: getattr(history, name) for name in counts}
    return Source(f"rollouts:{folder.resolve().name}", 1.0 - history.solve_rates, details), history


def read_join_keys(prompts: PromptTable, corpus: Corpus) -> JoinKeys:
    """Read what rollouts are joined by: last user messages and ground truths.

    All texts are in memory then; a log covers far fewer prompts than a corpus can hold.
    """
    texts: list[str] = []
    truths: list[str] = []
    for row in rows_of(prompts, corpus, range(len(prompts))):
        texts.append(_last_user_text(row.prompt))
        truths.append(canonical_json(row.reward_model["ground_truth"]))
    return JoinKeys(prompts.ids, texts, truths)


def _last_user_text(messages: Sequence[dict[str, Any]]) -> str:
    """Text of the last user message that has any; of parts, the longest, as media lie between."""
    for message in reversed(messages):
        if message["role"] != "user":
            continue
        content = message["content"]
        parts = [content] if isinstance(content, str) else map(_part_text, content)
        text = max(parts, key=lambda part: len(part.strip()), default="")
        if text.strip():
            return text
    return ""


def _part_text(part: Any) -> str:
    return part if isinstance(part, str) else part.get("text") or ""


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
