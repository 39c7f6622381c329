"""The prompts a curriculum may choose from, made from a recipe's dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from sparft_plugin.corpus.spool import TextSpool
from sparft_plugin.curriculum import PromptPool
from sparft_plugin.curriculum.wrappers.base import Wrapper
from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl.chosen import everything, read_tags, reduced, tagged
from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction import ReductionConfig
from sparft_plugin.reduction.encode import encode_texts
from sparft_plugin.training.encoding import free_cores


@dataclass(frozen=True, eq=False)
class Pool:
    """Prompts, and where the dataset and the texts hold each; some 60 bytes a prompt."""

    prompts: PromptPool
    """What the curriculum chooses from, n of them; with embeddings if it asks for them."""
    rows: NDArray[np.int64]
    """Row of each in the recipe's dataset, shape (n,)."""
    at: NDArray[np.int64]
    """Place of each in the texts, shape (n,)."""
    texts: TextSpool
    """Texts of the whole dataset, on disk."""
    saved: str | None
    """What a resumed run needs to train on the same prompts; None if the data alone tells it."""

    @classmethod
    def from_dataset(
        cls, inner: Any, config: DictConfig, options: SparftConfig, saved: str | None = None
    ) -> Pool:
        """Read a dataset's rows, and reduce them unless that was done before.

        Files written by ``sparft reduce`` carry their arms, and are taken as they are.

        Parameters
        ----------
        inner : Dataset
            Has a ``dataframe`` of rows as verl's ``RLHFDataset`` has.
        config : DictConfig
            verl's ``data`` section.
        options : SparftConfig
            The checked ``sparft`` section.
        saved : str or None
            ``saved`` of the run that is resumed.

        Raises
        ------
        SparftError
            If the dataset has no ``dataframe``, a row is invalid, or the data holds none of the
            prompts of the resumed run.
        """
        frame = getattr(inner, "dataframe", None)
        if frame is None:
            raise SparftError(
                f"the dataset class {type(inner).__name__} has no 'dataframe' of rows as verl's "
                "RLHFDataset has; give it one, or use a sparft name without a curriculum."
            )
        source = DatasetSource(frame, "data.train_files")
        tags, key = read_tags(source), None
        if tags is None and options.reduction is not None:
            key = options.reduction.difficulty_key
        corpus = Corpus([source], Columns(config.prompt_key, template=None))
        table = PromptTable.from_corpus(corpus, label_keys=[] if key is None else [key])
        if tags is not None:
            chosen, saved = tagged(table, tags), None
        elif options.reduction is None:
            chosen, saved = everything(table), None
        else:
            with every_core():
                chosen, saved = reduced(table, options.reduction, saved)
        ids = np.array(table.ids, dtype=np.bytes_)[chosen.at]
        order = np.argsort(ids, kind="stable")
        at = chosen.at[order]
        vectors = None
        if needs_embeddings(options):
            vectors = embed([table.texts[i] for i in at.tolist()], options)
        prompts = PromptPool(ids[order], chosen.arms[order], chosen.difficulties[order], vectors)
        return cls(prompts, table.rows[at], at, table.texts, saved)

    def row_of(self, prompt_id: str) -> int:
        """Row of a prompt in the recipe's dataset; a KeyError if it is not in the pool."""
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
        return np.asarray(encode_texts(texts, config.embedder, config.encoding)[0])


@contextmanager
def every_core() -> Iterator[None]:
    """Let torch use all cores: Ray gives an actor one, and no worker needs the others yet."""
    threads = torch.get_num_threads()
    torch.set_num_threads(free_cores())
    try:
        yield
    finally:
        torch.set_num_threads(threads)
