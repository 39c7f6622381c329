"""The prompts a run chooses from: read from its training data, and reduced if that is asked for."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sparft_plugin.config.schema import SparftConfig
from sparft_plugin.corpus import Columns, Corpus
from sparft_plugin.corpus.rows import canonical_json
from sparft_plugin.corpus.sources import Source
from sparft_plugin.corpus.spool import TextSpool
from sparft_plugin.curriculum import PromptPool
from sparft_plugin.curriculum.wrappers.base import Wrapper
from sparft_plugin.errors import require
from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction import ReductionConfig, reduce
from sparft_plugin.reduction.encode import encode_texts
from sparft_plugin.training.encoding import free_cores

logger = logging.getLogger(__name__)

TAG = [f"extra_info.sparft.{part}" for part in ("id", "arm", "difficulty")]
"""Columns that ``sparft reduce`` adds to what it keeps."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Prompts, and where the source and the texts hold each; some 60 bytes a prompt."""

    prompts: PromptPool
    """What the curriculum chooses from, n of them; with embeddings if it asks for them."""
    rows: NDArray[np.int64]
    """Row of each in the source, shape (n,)."""
    at: NDArray[np.int64]
    """Place of each in the texts, shape (n,)."""
    texts: TextSpool
    """Texts of the whole source, on disk."""
    saved: str | None
    """What a resumed run needs to train on the same prompts; None if the data alone tells it."""

    @classmethod
    def from_source(
        cls, source: Source, columns: Columns, options: SparftConfig, saved: str | None = None
    ) -> Pool:
        """Read rows, and reduce them unless that was done before.

        Rows written by ``sparft reduce`` carry their arms, and are taken as they are. ``columns``
        say where prompt, answer and data source stand; ``saved`` is that of the resumed run.

        Raises
        ------
        SparftError
            If a row is invalid, or the data holds none of the prompts of the resumed run.
        """
        tags, key = read_tags(source), None
        if tags is None and options.reduction is not None:
            key = options.reduction.difficulty_key
        corpus = Corpus([source], columns)
        table = PromptTable.from_corpus(corpus, label_keys=[] if key is None else [key])
        if tags is not None:
            chosen, saved = tagged(table, tags), None
        elif options.reduction is None:
            rows = len(table)
            chosen, saved = _chosen(np.arange(rows), [0] * rows, [None] * rows), None
        else:
            with every_core():
                chosen, saved = reduced(table, options.reduction, saved)
        ids = np.array(table.ids, dtype=np.bytes_)[chosen.at]
        order = np.argsort(ids, kind="stable")
        at = chosen.at[order]
        vectors = None
        if needs_embeddings(options):
            # From the cache on disk if the reduction, or an earlier run, has encoded the texts.
            config = options.reduction or ReductionConfig()
            texts = [table.texts[i] for i in at.tolist()]
            with every_core():
                vectors = np.asarray(encode_texts(texts, config.embedder, config.encoding)[0])
        prompts = PromptPool(ids[order], chosen.arms[order], chosen.difficulties[order], vectors)
        return cls(prompts, table.rows[at], at, table.texts, saved)

    def row_of(self, prompt_id: str) -> int:
        """Row of a prompt in the source; a KeyError if it is not in the pool."""
        return int(self.rows[self.prompts.position(prompt_id)])

    def text_of(self, prompt_id: str) -> str:
        """Text of a prompt; a KeyError if it is not in the pool."""
        return self.texts[int(self.at[self.prompts.position(prompt_id)])]

    def longest(self, count: int) -> NDArray[np.int64]:
        """Rows of the prompts whose texts are the longest in bytes, at most so many, increasing."""
        sizes = self.texts.sizes[self.at]
        return np.sort(self.rows[np.argsort(-sizes, kind="stable")[:count]])


def needs_embeddings(options: SparftConfig) -> bool:
    """Whether the curriculum, inside its wrappers, asks for the embeddings of the prompts."""
    curriculum = options.build_curriculum()
    while isinstance(curriculum, Wrapper):
        curriculum = curriculum.inner
    return curriculum is not None and curriculum.needs_embeddings


@contextmanager
def every_core() -> Iterator[None]:
    """Let torch use all cores: Ray gives an actor one, and no worker needs the others yet."""
    threads = torch.get_num_threads()
    torch.set_num_threads(free_cores())
    try:
        yield
    finally:
        torch.set_num_threads(threads)


Tag = tuple[str, int, float | None]
"""Id, arm and difficulty that ``sparft reduce`` wrote into a row."""


class Chosen(NamedTuple):
    """m prompts of a table."""

    at: NDArray[np.int64]
    """Position of each in the table, shape (m,)."""
    arms: NDArray[np.int32]
    """Arm of each, shape (m,)."""
    difficulties: NDArray[np.float64]
    """Difficulty of each in [0, 1], shape (m,); NaN where unknown."""


def read_tags(source: Source) -> list[Tag] | None:
    """Read the arms of a file that ``sparft reduce`` wrote; None unless every row has its own."""
    if not set(TAG) <= set(source.columns()):
        return None
    tags: list[Tag] = []
    for ids, arms, difficulties in source.batches(TAG):
        if None in ids:
            return None
        tags += zip(ids, arms, difficulties, strict=True)
    return tags


def tagged(table: PromptTable, tags: Sequence[Tag]) -> Chosen:
    """Take every prompt of a reduced file; one that was edited since is a SparftError."""
    logger.info("sparft: %s is reduced already; its arms are used.", table.source)
    found = [tags[row] for row in table.rows.tolist()]
    for identity, row, tag in zip(table.ids, table.rows, found, strict=True):
        require(
            tag[0] == identity,
            f"row {row} of {table.source} was edited after its reduction; run sparft reduce "
            "again on the edited data.",
        )
    _, arms, difficulties = zip(*found, strict=True)
    return _chosen(np.arange(len(table)), arms, difficulties)


def reduced(table: PromptTable, config: ReductionConfig, saved: str | None) -> tuple[Chosen, str]:
    """Reduce the prompts, or take those of the run that is resumed.

    The text beside the kept prompts is their ids, arms and difficulties, with what they were made
    from, as JSON; ``saved`` is that of the resumed run.
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
            "sparft: %s changed since the checkpoint; the run goes on with those of its %d reduced "
            "prompts that are left. Start a new run to reduce the data anew.",
            table.source,
            len(state["ids"]),
        )
    return _found(table, state), json.dumps(state)


def _found(table: PromptTable, state: Mapping[str, Any]) -> Chosen:
    """Look up the prompts of a state by their ids; those that are gone are left out."""
    labels = zip(state["arms"], state["difficulties"], strict=True)
    kept = dict(zip(state["ids"], labels, strict=True))
    at = [place for place, identity in enumerate(table.ids) if identity in kept]
    require(
        bool(at),
        f"{table.source} holds none of the prompts of the checkpoint; resume with the data of that "
        "run, or start a new one.",
    )
    arms, difficulties = zip(*(kept[table.ids[place]] for place in at), strict=True)
    return _chosen(np.array(at), arms, difficulties)


def _chosen(
    at: NDArray[np.int64], arms: Sequence[int], difficulties: Sequence[float | None]
) -> Chosen:
    known = [np.nan if value is None else value for value in difficulties]
    return Chosen(at, np.array(arms, dtype=np.int32), np.array(known, dtype=np.float64))
