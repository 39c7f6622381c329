"""Which prompts of the training data a run trains on, and in which arms."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.corpus.rows import canonical_json
from sparft_plugin.corpus.source import Source
from sparft_plugin.errors import SparftError
from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction import ReductionConfig, reduce

logger = logging.getLogger(__name__)

TAG = [f"extra_info.sparft.{part}" for part in ("id", "arm", "difficulty")]
"""Columns that ``sparft reduce`` adds to what it keeps."""


class Tags(NamedTuple):
    """What ``sparft reduce`` wrote into each row, r values each."""

    ids: list[str]
    arms: list[int]
    difficulties: list[float | None]


class Chosen(NamedTuple):
    """m prompts of a table."""

    at: NDArray[np.int64]
    """Position of each in the table, shape (m,)."""
    arms: NDArray[np.int32]
    """Arm of each, shape (m,)."""
    difficulties: NDArray[np.float64]
    """Difficulty of each in [0, 1], shape (m,); NaN where unknown."""


def read_tags(source: Source) -> Tags | None:
    """Read the arms of a file that ``sparft reduce`` wrote; None unless every row has its own."""
    if not set(TAG) <= set(source.columns()):
        return None
    tags = Tags([], [], [])
    for ids, arms, difficulties in source.batches(TAG):
        if None in ids:
            return None
        tags.ids.extend(ids)
        tags.arms.extend(arms)
        tags.difficulties.extend(difficulties)
    return tags


def everything(table: PromptTable) -> Chosen:
    """Take every prompt, as one arm."""
    rows = len(table)
    return Chosen(np.arange(rows), np.zeros(rows, np.int32), np.full(rows, np.nan))


def tagged(table: PromptTable, tags: Tags) -> Chosen:
    """Take every prompt of a reduced file.

    Raises
    ------
    SparftError
        If a prompt was edited after the reduction.
    """
    logger.info("sparft: the training files are reduced already; their arms are used.")
    rows = table.rows.tolist()
    for identity, row in zip(table.ids, rows, strict=True):
        if tags.ids[row] != identity:
            raise SparftError(
                f"row {row} of data.train_files was edited after its reduction; run sparft reduce "
                "again on the edited data."
            )
    return _chosen(
        np.arange(len(table)),
        [tags.arms[row] for row in rows],
        [tags.difficulties[row] for row in rows],
    )


def reduced(table: PromptTable, config: ReductionConfig, saved: str | None) -> tuple[Chosen, str]:
    """Reduce the prompts, or take those of the run that is resumed.

    Parameters
    ----------
    table : PromptTable
        The prompts of the data.
    config : ReductionConfig
        Options.
    saved : str or None
        What this function gave to the run that is resumed.

    Returns
    -------
    Chosen
        The prompts that are kept.
    str
        Ids, arms and difficulties of them, with what they were made from, as JSON.

    Raises
    ------
    SparftError
        As the reduction does, or if the data holds none of the prompts of the resumed run.
    """
    options = json.loads(canonical_json(asdict(config)))
    state = json.loads(saved) if saved else None
    # A checkpoint of an earlier version does not hold the options that came later.
    if state and state["options"] != {k: v for k, v in options.items() if k in state["options"]}:
        logger.warning("sparft: sparft.reduction differs from the checkpoint; reducing anew.")
        state = None
    if state is None:
        reduction = reduce(table, config)
        known = [None if math.isnan(d) else d for d in reduction.difficulties.tolist()]
        state = {
            "options": options,
            "fingerprint": table.fingerprint,
            "ids": list(reduction.ids),
            "arms": reduction.arms.tolist(),
            "difficulties": known,
        }
    elif state["fingerprint"] != table.fingerprint:
        logger.warning(
            "sparft: data.train_files changed since the checkpoint; the run goes on with those of "
            "its %d reduced prompts that are left. Start a new run to reduce the data anew.",
            len(state["ids"]),
        )
    return _found(table, state), json.dumps(state)


def _found(table: PromptTable, state: Mapping[str, Any]) -> Chosen:
    """Look up the prompts of a state by their ids; those that are gone are left out."""
    labels = zip(state["arms"], state["difficulties"], strict=True)
    kept = dict(zip(state["ids"], labels, strict=True))
    at = [place for place, identity in enumerate(table.ids) if identity in kept]
    if not at:
        raise SparftError(
            "data.train_files holds none of the prompts of the checkpoint; resume with the data of "
            "that run, or start a new one."
        )
    arms, difficulties = zip(*(kept[table.ids[place]] for place in at), strict=True)
    return _chosen(np.array(at), arms, difficulties)


def _chosen(
    at: NDArray[np.int64], arms: Sequence[int], difficulties: Sequence[float | None]
) -> Chosen:
    known = [np.nan if value is None else value for value in difficulties]
    return Chosen(at, np.array(arms, dtype=np.int32), np.array(known, dtype=np.float64))
