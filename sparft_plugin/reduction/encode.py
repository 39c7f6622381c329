"""From texts to vectors on disk: each different text once, in passes of similar length."""

from __future__ import annotations

import atexit
import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin import plugins
from sparft_plugin.errors import SparftError, import_extra, unknown_name
from sparft_plugin.prompts import digest
from sparft_plugin.reduction.cache import EmbeddingCache, prune, text_keys, write_shard
from sparft_plugin.reduction.config import ReductionConfig
from sparft_plugin.reduction.embedders.base import Embedder
from sparft_plugin.reduction.embedders.models import find_weights, unreachable
from sparft_plugin.reduction.files import cache_folder
from sparft_plugin.reduction.vectors import Vectors, to_unit

logger = logging.getLogger(__name__)

ENGINES = ("local", "ray")
CHUNK_TEXTS = 2048
"""Texts of one task, and of one file of the cache: what a kill can lose."""
TOKENIZED = 4096


def check_engine(name: str) -> None:
    """Refuse an unknown engine; the nearest one is offered."""
    if name not in ENGINES:
        raise unknown_name("engine", name, ENGINES)


@dataclass
class EncodeTexts:
    """Encode a chunk of texts into a file of the cache; the weights are loaded once a process."""

    embedder: str
    options: Mapping[str, Any]
    folder: Path
    built: Embedder | None = field(default=None, repr=False)

    def __call__(self, texts: Sequence[str]) -> tuple[str, int]:
        """Name of the new file, and its number of texts."""
        if self.built is None:
            self.built = plugins.build("embedder", self.embedder, self.options)
        vectors = np.asarray(self.built.encode(texts))
        name = f"the embedder '{self.embedder}'"
        if vectors.ndim != 2 or len(vectors) != len(texts) or not vectors.size:
            raise SparftError(
                f"{name} gave shape {vectors.shape} for {len(texts)} texts; one row for each is "
                "needed."
            )
        unit = to_unit(vectors, name, lambda place: f"the text {texts[place][:60]!r}")
        return write_shard(self.folder, text_keys(texts), unit), len(texts)


def encode_texts(
    texts: Sequence[str],
    embedder: str,
    options: Mapping[str, Any],
    *,
    engine: str = "local",
    cache: Path | None = None,
    progress: bool = True,
) -> tuple[Vectors, str]:
    """Encode what the cache does not hold, and return vectors for all texts.

    The n texts are read by number, repeats are encoded once. ``cache`` has a folder for each
    encoder; None is that of the user. ``progress`` shows a bar on stderr if there is more than one
    chunk. Returned are unit vectors, shape (n, d), in the order of ``texts`` and possibly a memory
    map; and the identity of the encoder. A SparftError says if that breaks its contract.
    """
    check_engine(engine)
    if not len(texts):
        raise SparftError("there is no text to encode; give at least one.")
    built: Embedder = plugins.build("embedder", embedder, options)
    cache = _usable(cache or cache_folder("embeddings"))
    folder = _usable(_folder(cache, embedder, built))
    store, keys = EmbeddingCache(folder), text_keys(texts)
    task = EncodeTexts(embedder, options, folder, built if engine == "local" else None)
    vectors = None
    # Once, unless a file of the cache turns out to be corrupt.
    while vectors is None:
        missing = store.missing(keys)
        if len(missing):
            from tqdm import tqdm

            total, few = len(missing), len(missing) <= CHUNK_TEXTS
            with tqdm(
                total=total, unit="text", desc="encoding", disable=few or not progress
            ) as bar:
                for name, count in _map(engine, task, _chunks(texts, missing), cache):
                    store.add(name)
                    bar.update(count)
            prune(cache)
        vectors = store.vectors(keys)
    return vectors, str(built.identity)


def _map(
    engine: str, task: EncodeTexts, chunks: Iterator[list[str]], cache: Path
) -> Iterator[tuple[str, int]]:
    if engine == "local":
        return map(task, chunks)
    from sparft_plugin.reduction.ray import map_on_ray

    return map_on_ray(task, chunks, cache)


def missing_texts(
    texts: Sequence[str], embedder: str, built: Embedder, cache: Path
) -> NDArray[np.int64]:
    """Positions of the different texts that the cache does not hold."""
    return EmbeddingCache(_folder(cache, embedder, built)).missing(text_keys(texts))


def _folder(cache: Path, embedder: str, built: Embedder) -> Path:
    return cache / digest(f"{embedder} {built.identity} {built.arithmetic}")


def _chunks(texts: Sequence[str], missing: NDArray[np.int64]) -> Iterator[list[str]]:
    """Chunks of similar length, the longest first so that memory shows its peak at once."""
    sizes = np.array([len(texts[i]) for i in missing.tolist()])
    order = missing[np.argsort(-sizes, kind="stable")].tolist()
    for start in range(0, len(order), CHUNK_TEXTS):
        yield [texts[i] for i in order[start : start + CHUNK_TEXTS]]


def _usable(folder: Path) -> Path:
    """Return the folder, made if need be, or a temporary one if it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        told = (
            "embeddings are not kept: %s cannot be written (%s); set SPARFT_CACHE to one that can."
        )
        logger.warning(told, folder, error.strerror)
        folder = Path(tempfile.mkdtemp(prefix="sparft-embeddings-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def count_tokens(texts: Sequence[str], config: ReductionConfig) -> NDArray[np.int64]:
    """Tokens of each text, shape (n,), special tokens not counted."""
    import_extra("embed", "the encoder", "transformers")
    from transformers import AutoTokenizer

    owner = plugins.lookup("embedder", config.embedder).owner
    weights = find_weights(config.tokenizer or config.encoder, owner=owner)
    try:
        tokenizer = AutoTokenizer.from_pretrained(weights.location, revision=weights.revision)
    except (OSError, ValueError) as error:
        raise unreachable(weights.location, error) from error
    counts: list[int] = []
    for start in range(0, len(texts), TOKENIZED):
        batch = texts[start : start + TOKENIZED]
        counts += map(len, tokenizer(batch, add_special_tokens=False, verbose=False)["input_ids"])
    return np.array(counts, dtype=np.int64)
