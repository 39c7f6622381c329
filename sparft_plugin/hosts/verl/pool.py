"""The prompts a curriculum may choose from, made from a recipe's dataset."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig

from sparft_plugin.config.schema import SparftConfig
from sparft_plugin.corpus import Columns, Corpus
from sparft_plugin.corpus.parquet import DatasetSource
from sparft_plugin.curriculum import Prompt, PromptPool
from sparft_plugin.curriculum.wrappers.base import Wrapper
from sparft_plugin.errors import SparftError
from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction import ReductionConfig, reduce_cached
from sparft_plugin.reduction.encode import encode_texts
from sparft_plugin.reduction.engines.base import Local
from sparft_plugin.reduction.folders import cache_folder

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pool:
    """Prompts with the dataset row and the text of each.

    Parameters
    ----------
    prompts : PromptPool
        What the curriculum chooses from; with embeddings if it asks for them.
    row_of : mapping
        Row in the recipe's dataset by prompt id.
    texts : mapping
        The prompt's text by prompt id.
    messages : mapping
        Chat messages by prompt id.
    """

    prompts: PromptPool
    row_of: Mapping[str, int]
    texts: Mapping[str, str]
    messages: Mapping[str, Any]

    @classmethod
    def from_dataset(cls, inner: Any, config: DictConfig, options: SparftConfig) -> Pool:
        """Read a dataset's rows, and reduce them unless that was done before.

        Files written by ``sparft reduce`` carry their arms, and are taken as they are.

        Raises
        ------
        SparftError
            If the dataset has no ``dataframe`` of rows as verl's ``RLHFDataset`` has, or a row is
            invalid.
        """
        frame = getattr(inner, "dataframe", None)
        if frame is None:
            raise SparftError(
                f"the dataset class {type(inner).__name__} has no 'dataframe' of rows as verl's "
                "RLHFDataset has; give it one, or use a sparft name without a curriculum."
            )
        keys = [config.prompt_key, "data_source", "reward_model", "extra_info"]
        difficulty_key = options.reduction.difficulty_key if options.reduction else None
        wanted = {*keys, *(difficulty_key or "").split(".")[:1]}
        rows = frame.select_columns([name for name in frame.column_names if name in wanted])
        reduced = _reduced_before(rows)
        corpus = Corpus(
            [DatasetSource(rows, "data.train_files")], Columns(config.prompt_key, template=None)
        )
        labels = [difficulty_key] if difficulty_key and not reduced else []
        table = PromptTable.from_corpus(corpus, label_keys=labels)
        prompts = _tagged(table, rows) if reduced else _reduced_now(table, options)
        kept = {prompt.id for prompt in prompts}
        row_of = {
            identity: int(row)
            for identity, row in zip(table.ids, table.rows, strict=True)
            if identity in kept
        }
        texts = dict(zip(table.ids, table.texts, strict=True))
        embeddings = None
        if needs_embeddings(options):
            embeddings = embed([texts[prompt.id] for prompt in prompts], options)
        return cls(
            PromptPool.of(prompts, embeddings),
            row_of,
            {identity: texts[identity] for identity in row_of},
            {identity: rows[row][config.prompt_key] for identity, row in row_of.items()},
        )

    def check_lengths(self, tokenizer: Any, config: DictConfig) -> None:
        """Refuse a prompt that the model cannot take in whole.

        Raises
        ------
        SparftError
            Naming the row, its length and the mend.
        """
        for identity, messages in self.messages.items():
            tokens = tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=True, return_dict=True
            )["input_ids"]
            if len(tokens) > config.max_prompt_length:
                raise SparftError(
                    f"row {self.row_of[identity]} of data.train_files has {len(tokens)} tokens, "
                    f"more than data.max_prompt_length={config.max_prompt_length}; set "
                    "data.filter_overlong_prompts=True or raise the limit."
                )


def _reduced_before(rows: Any) -> bool:
    """Whether every row carries the arm that ``sparft reduce`` gave it."""
    if "extra_info" not in rows.column_names:
        return False
    return all(info and info.get("sparft") for info in rows["extra_info"])


def _tagged(table: PromptTable, rows: Any) -> list[Prompt]:
    """Read the prompts of a reduced file.

    Raises
    ------
    SparftError
        If a prompt was edited after the reduction.
    """
    logger.info("sparft: the training files are reduced already; their arms are used.")
    prompts = []
    for identity, row in zip(table.ids, table.rows, strict=True):
        tag = rows[int(row)]["extra_info"]["sparft"]
        if tag["id"] != identity:
            raise SparftError(
                f"row {row} of data.train_files was edited after its reduction; run sparft reduce "
                "again on the edited data."
            )
        prompts.append(Prompt(identity, int(tag["arm"]), tag["difficulty"]))
    return prompts


def _reduced_now(table: PromptTable, options: SparftConfig) -> list[Prompt]:
    """Reduce the prompts, or take all of them as one arm."""
    if options.reduction is None:
        return [Prompt(identity) for identity in table.ids]
    with every_core():
        reduction = reduce_cached(table, options.reduction)
    return [
        Prompt(identity, int(arm), None if math.isnan(difficulty) else float(difficulty))
        for identity, arm, difficulty in zip(
            reduction.ids, reduction.arms, reduction.difficulties, strict=True
        )
    ]


def needs_embeddings(options: SparftConfig) -> bool:
    """Whether the curriculum, inside its wrappers, asks for the embeddings of the prompts."""
    curriculum = options.build_curriculum()
    while isinstance(curriculum, Wrapper):
        curriculum = curriculum.inner
    return curriculum is not None and curriculum.needs_embeddings


def embed(texts: Sequence[str], options: SparftConfig) -> NDArray[np.float32]:
    """Unit vectors of n texts, shape (n, d), from the reduction's encoder or its default.

    They come from the cache on disk if the reduction, or an earlier run, has encoded the texts.

    Raises
    ------
    SparftError
        If the encoder cannot be loaded, or a vector is zero or not finite.
    """
    config = options.reduction or ReductionConfig()
    with every_core():
        vectors, _ = encode_texts(
            texts, config.embedder, config.encoding, Local(), cache_folder("embeddings")
        )
        return vectors.take(np.arange(len(texts)))


@contextmanager
def every_core() -> Iterator[None]:
    """Let torch use all cores: Ray gives an actor one, and no worker needs the others yet."""
    threads = torch.get_num_threads()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    try:
        yield
    finally:
        torch.set_num_threads(threads)
