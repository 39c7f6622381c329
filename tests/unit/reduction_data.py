"""Training rows and an encoder small enough to reason about."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparft_plugin import plugins
from sparft_plugin.corpus import Corpus
from sparft_plugin.hookspecs import hookimpl
from sparft_plugin.prompts import PromptTable, prompt_id
from sparft_plugin.reduction import Manifest, Reduction, write_reduced
from sparft_plugin.reduction.embedders import Embedder

WIDTH = 6


def row(question: Any = "1 + 1?", truth: Any = "2", **extra: Any) -> dict[str, Any]:
    return {
        "data_source": "sums",
        "prompt": [{"role": "user", "content": question}],
        "reward_model": {"style": "rule", "ground_truth": truth},
        "extra_info": {"index": 0, **extra},
    }


def sums(n: int) -> list[dict[str, Any]]:
    """n different prompts whose difficulty labels run through 0 .. 9."""
    return [row(f"{i} + {i}?", str(2 * i), difficulty=float(i % 10)) for i in range(n)]


def write(path: Path, rows: Sequence[Mapping[str, Any]], schema: Any = None) -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path)
    return path


def kept(rows: Sequence[Mapping[str, Any]], *numbers: int, **fields: Any) -> Reduction:
    """Keep some of the rows, each in an arm of its own."""
    return Reduction(
        ids=tuple(prompt_id("sums", rows[n]["prompt"]) for n in numbers),
        rows=np.array(numbers, dtype=np.int64),
        arms=np.arange(len(numbers), dtype=np.int64),
        **{"difficulties": np.full(len(numbers), 0.5), "facts": facts()} | fields,
    )


def facts() -> Manifest:
    """Facts that say nothing."""
    return Manifest(**{field.name: None for field in dataclass_fields(Manifest)})


def write_out(inputs: Sequence[Path], reduction: Any, out: Path, **options: Any) -> Path:
    """Write a reduction of parquet files in verl's schema."""
    corpus = Corpus.open(inputs)
    return write_reduced(corpus, PromptTable.from_corpus(corpus), reduction, out, **options)


def vector(text: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")
    values = np.random.default_rng(seed).normal(size=WIDTH)
    return (values / np.linalg.norm(values)).astype(np.float32)


@dataclass
class HashEmbedder(Embedder):
    """A fixed random vector for each text."""

    model: str | None = None
    calls: ClassVar[list[int]] = []

    @property
    def identity(self) -> str:
        return f"hash@{self.model}"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        self.calls.append(len(texts))
        return np.stack([vector(text) for text in texts])


@contextmanager
def registered(**classes: Mapping[str, type[Any]]) -> Iterator[None]:
    """Register classes by hook name as a stranger's package would."""
    hooks = {
        f"register_{kind}": hookimpl(_returning(f"register_{kind}", found))
        for kind, found in classes.items()
    }
    plugin = SimpleNamespace(**hooks)
    plugins.manager().register(plugin, name="stranger")
    try:
        yield
    finally:
        plugins.manager().unregister(plugin)


def _returning(name: str, value: Any) -> Any:
    def hook() -> Any:
        return value

    hook.__name__ = name
    return hook


def save_static(folder: Path, words: Sequence[str], table: np.ndarray) -> Path:
    """Save a model2vec model with a vector for each word, the first of them unknown."""
    model2vec = pytest.importorskip("model2vec")
    from tokenizers import Tokenizer, pre_tokenizers
    from tokenizers.models import WordLevel

    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token=words[0]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    model2vec.StaticModel(table, tokenizer).save_pretrained(folder)
    return folder
