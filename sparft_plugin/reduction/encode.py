"""From texts to vectors on disk: each different text once, in passes of similar length."""

from __future__ import annotations

import atexit
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin import plugins
from sparft_plugin.errors import SparftError
from sparft_plugin.prompts import digest
from sparft_plugin.reduction.embedders.base import Embedder
from sparft_plugin.reduction.engines.base import Engine, Local
from sparft_plugin.reduction.vectors.base import Vectors, to_unit
from sparft_plugin.reduction.vectors.cache import (
    KEY_BYTES,
    SCRATCH,
    EmbeddingCache,
    prune,
    text_key,
    write_shard,
)

logger = logging.getLogger(__name__)

CHUNK_TEXTS = 2048
"""Texts of one task, and of one file of the cache: what a kill can lose."""


@dataclass
class EncodeTexts:
    """Encode a chunk of texts into a file of the cache; the weights are loaded once a process."""

    embedder: str
    """Registered name."""
    options: Mapping[str, Any]
    """Options of the embedder."""
    folder: Path
    """Folder of the cache."""
    _built: Embedder | None = field(default=None, init=False, repr=False)

    def __call__(self, chunk: Sequence[str] | Path) -> tuple[str, int]:
        """Return the name of the new file and its number of texts.

        Raises
        ------
        SparftError
            If the embedder breaks its contract.
        """
        texts = json.loads(chunk.read_text("utf-8")) if isinstance(chunk, Path) else chunk
        if self._built is None:
            self._built = plugins.build("embedder", self.embedder, self.options)
        vectors = np.asarray(self._built.encode(texts))
        if vectors.ndim != 2 or len(vectors) != len(texts) or not vectors.size:
            raise SparftError(
                f"the embedder '{self.embedder}' gave shape {vectors.shape} for {len(texts)} "
                "texts; one row for each is needed."
            )
        name = f"the embedder '{self.embedder}'"
        unit = to_unit(vectors, name, lambda place: f"the text {texts[place][:60]!r}")
        return write_shard(self.folder, [text_key(text) for text in texts], unit), len(texts)


def encode_texts(
    texts: Sequence[str],
    embedder: str,
    options: Mapping[str, Any],
    engine: Engine,
    cache: Path,
    *,
    progress: bool = True,
) -> tuple[Vectors, str]:
    """Encode what the cache does not hold, and return vectors for all texts.

    Parameters
    ----------
    texts : sequence of str
        n texts, read by number; repeats are encoded once.
    embedder, options
        Registered name and options of the encoder.
    engine : Engine
        Where it runs.
    cache : Path
        Folder of all cached embeddings; each encoder has a folder in it.
    progress : bool
        Show a bar on stderr, with rate and time left, if there is more than one chunk.

    Returns
    -------
    Vectors
        n vectors in the order of ``texts``.
    str
        Identity of the encoder.

    Raises
    ------
    SparftError
        If the encoder cannot be loaded or breaks its contract.
    """
    built: Embedder = plugins.build("embedder", embedder, options)
    cache = _usable(cache)
    folder = _folder(cache, embedder, built)
    store, keys = EmbeddingCache(folder), _keys(texts)
    missing = _first_of_each(keys, store.missing(keys))
    task = EncodeTexts(embedder, options, folder)
    local = isinstance(engine, Local)
    if local:
        task._built = built
    room = nullcontext() if local else tempfile.TemporaryDirectory(prefix=SCRATCH, dir=cache)
    with room as scratch, _bar(len(missing), progress) as bar:
        for name, count in engine.map(task, _chunks(texts, missing, scratch)):
            store.add(name)
            bar.update(count)
            if scratch is not None:
                # A sign of life: ``prune`` removes what nobody touched for a week.
                os.utime(scratch)
    vectors = store.vectors(keys)
    if len(missing):
        prune(cache)
    return vectors, str(built.identity)


def missing_texts(
    texts: Sequence[str], embedder: str, built: Embedder, cache: Path
) -> NDArray[np.int64]:
    """Positions of the different texts that the cache does not hold."""
    keys = _keys(texts)
    return _first_of_each(keys, EmbeddingCache(_folder(cache, embedder, built)).missing(keys))


def _folder(cache: Path, embedder: str, built: Embedder) -> Path:
    return cache / digest(f"{embedder} {built.identity} {built.arithmetic}")


def _keys(texts: Sequence[str]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(map(text_key, texts)), np.uint8).reshape(-1, KEY_BYTES)


def _first_of_each(keys: NDArray[np.uint8], at: NDArray[np.int64]) -> NDArray[np.int64]:
    words = np.ascontiguousarray(keys[at]).view("<u8")
    _, first = np.unique(words, axis=0, return_index=True)
    return at[first]


def _chunks(
    texts: Sequence[str], missing: NDArray[np.int64], scratch: str | None
) -> Iterator[list[str] | Path]:
    """Chunks of similar length, the longest first so that memory shows its peak at once."""
    sizes = getattr(texts, "sizes", None)
    if sizes is None:
        sizes = np.array([len(text) for text in texts], dtype=np.int64)
    order = missing[np.argsort(-sizes[missing], kind="stable")]
    for number, start in enumerate(range(0, len(order), CHUNK_TEXTS)):
        chunk = [texts[i] for i in order[start : start + CHUNK_TEXTS].tolist()]
        if scratch is None:
            yield chunk
        else:
            path = Path(scratch) / f"{number}.json"
            path.write_text(json.dumps(chunk), encoding="utf-8")
            yield path


def _usable(folder: Path) -> Path:
    """Return the folder, made if need be, or a temporary one if it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        logger.warning(
            "embeddings are not kept: %s cannot be written (%s); set SPARFT_CACHE to a folder that "
            "can.",
            folder,
            error.strerror,
        )
        folder = Path(tempfile.mkdtemp(prefix="sparft-embeddings-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _bar(total: int, shown: bool) -> Any:
    from tqdm import tqdm

    return tqdm(
        total=total, unit="text", desc="encoding", disable=not shown or total <= CHUNK_TEXTS
    )
