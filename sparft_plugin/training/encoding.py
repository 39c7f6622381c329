"""The memory's encoder, and how a reward worker encodes what concurrent rollouts bring."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin import plugins
from sparft_plugin.errors import SparftError, refuse_unknown
from sparft_plugin.memory.memory_r import stored_text
from sparft_plugin.reduction.embedders.sentence_transformer import SentenceTransformerEmbedder

Vector = NDArray[np.float32]

BATCH_TOKENS = 128
"""Tokens of a pass with torch; see `memory_encoder`."""
OPTIONS = ("precision", "backend", "batch_tokens", "device")
CACHE_BYTES = 32 << 20
"""About 15,000 responses of 384 numbers and 300 characters."""
ENTRY_BYTES = 300
"""What a kept vector takes beside its text and its numbers, roughly."""
NICENESS = 10


def memory_encoder(
    model: str, options: Mapping[str, Any] | None = None
) -> SentenceTransformerEmbedder:
    """Return the encoder of prompts and responses; its weights load at first use.

    An embedding does not depend on what else was waiting, so a resumed run remembers the same
    numbers. It runs on the CPU unless told otherwise: the GPUs belong to training and generation.

    Parameters
    ----------
    model : str
        ``sparft.memory.encoder``: a folder, a hub id or the packaged all-MiniLM-L6-v2.
    options : mapping or None
        ``sparft.memory_encoder``: `OPTIONS` of `SentenceTransformerEmbedder`, where ``device`` is
        ``cpu`` by default. There torch takes 128 tokens a pass: of short responses that come a few
        at a time a pass of 256 would be filler mostly, at twice the time, and of many at once it
        saves a twentieth. OpenVINO takes a text a pass, which costs it little.

    Raises
    ------
    SparftError
        If an option is unknown or its value is.
    """
    given = dict(options or {})
    refuse_unknown("option of sparft.memory_encoder", given, OPTIONS)
    given["device"] = given.get("device") or "cpu"
    if given.get("batch_tokens") is None and given["device"] == "cpu":
        given["batch_tokens"] = 1 if given.get("backend") == "openvino" else BATCH_TOKENS
    encoder: SentenceTransformerEmbedder = plugins.build(
        "embedder", "sentence_transformers", {"model": model, **given}
    )
    return encoder


def encode_stored(
    encoder: SentenceTransformerEmbedder, stored: str, texts: Sequence[str]
) -> NDArray[np.float32]:
    """Encode n texts of responses as ``sparft.memory.stored`` says, shape (n, d).

    ``tail`` encodes the end of a text; ``windows`` all of it in windows, a pass each, whose mean
    is scaled to norm 1. Otherwise the encoder reads the beginning.
    """
    if stored == "tail":
        texts = [encoder.tail(text) for text in texts]
    if stored != "windows":
        return encoder.encode(texts)
    parts = [encoder.windows(text) for text in texts]
    encoded = encoder.encode([part for some in parts for part in some])
    ends = np.cumsum([len(some) for some in parts])[:-1]
    means = np.stack([block.mean(axis=0, dtype=np.float64) for block in np.split(encoded, ends)])
    units: NDArray[np.float32] = means / np.linalg.norm(means, axis=1, keepdims=True)
    return units.astype(np.float32)


def embed_responses(
    encoder: SentenceTransformerEmbedder, stored: str, responses: Sequence[str]
) -> tuple[NDArray[np.float16], list[bool]]:
    """Encode n whole responses, each different text once.

    Returns their embeddings, float16 (n, d), and which of their texts are empty; those get the
    embedding of the empty text. One without direction is a SparftError.
    """
    texts = [stored_text(response, stored) for response in responses]
    different = list(dict.fromkeys(texts))
    encoded = encode_stored(encoder, stored, different)
    for text, vector in zip(different, encoded, strict=True):
        check_embedding(vector, encoder.identity, text)
    at = {text: row for row, text in enumerate(different)}
    rows = [at[text] for text in texts]
    return encoded.astype(np.float16)[rows], [not text.strip() for text in texts]


def check_embedding(embedding: NDArray[np.float32], encoder: str, text: str) -> None:
    """Refuse an embedding that has no direction, by the names of encoder and text."""
    finite = bool(np.isfinite(embedding).all())
    if finite and embedding.any():
        return
    fault = "zero" if finite else "not finite"
    start = repr(text if len(text) <= 40 else text[:40] + "...")
    raise SparftError(
        f"the encoder {encoder} gave the response {start} an embedding that is {fault}; use "
        "another sparft.memory.encoder."
    )


class MicroBatcher:
    """Collect texts while the encoder is busy, then encode all of them in one call.

    A text that was encoded before, waits or is being encoded is not encoded again; what was
    encoded is kept, up to ``cache_bytes``, the texts met longest ago given up first. ``encode``
    maps texts, none of them twice, to a float array, shape (texts, d), in a thread, one call at a
    time. What it raises reaches everyone who waits for a text of that call.
    """

    def __init__(
        self, encode: Callable[[Sequence[str]], Vector], cache_bytes: int = CACHE_BYTES
    ) -> None:
        self._encode = encode
        self._thread = background_thread("sparft-encoder")
        self._free = cache_bytes
        self._kept: OrderedDict[str, Vector] = OrderedDict()
        self._texts: list[str] = []
        self._next: asyncio.Task[dict[str, Vector]] | None = None
        self._batch_of: dict[str, asyncio.Task[dict[str, Vector]]] = {}
        self._busy = asyncio.Lock()

    async def encode(self, text: str) -> Vector:
        """Return the embedding, shape (d,)."""
        if text in self._kept:
            self._kept.move_to_end(text)
            return self._kept[text]
        batch = self._batch_of.get(text) or self._join(text)
        # One waiter that is cancelled must not take the others' batch with it.
        return (await asyncio.shield(batch))[text]

    def _join(self, text: str) -> asyncio.Task[dict[str, Vector]]:
        if self._next is None:
            self._next = asyncio.create_task(self._run())
        self._texts.append(text)
        self._batch_of[text] = self._next
        return self._next

    async def _run(self) -> dict[str, Vector]:
        async with self._busy:
            texts, self._texts, self._next = self._texts, [], None
            loop = asyncio.get_running_loop()
            try:
                rows = await loop.run_in_executor(self._thread, self._encode, texts)
            finally:
                for text in texts:
                    del self._batch_of[text]
            vectors = dict(zip(texts, rows, strict=True))
            for text, vector in vectors.items():
                # A row of a batch would keep the whole batch alive.
                self._kept[text] = vector.copy()
                self._free -= _bytes(text, vector)
                while self._free < 0:
                    self._free += _bytes(*self._kept.popitem(last=False))
            return vectors


def background_thread(name: str) -> ThreadPoolExecutor:
    """Return an executor of one thread; it and those it starts give way where cores are short.

    The processes that generate and train keep an accelerator busy, or on a CPU are the work
    itself; what is encoded beside them must not slow them down.
    """
    return ThreadPoolExecutor(1, name, initializer=_give_way)


def free_cores() -> int:
    """Cores of this machine that this process may use, whatever Ray counts for it."""
    return len(os.sched_getaffinity(0))


def _give_way() -> None:
    # On Linux a priority is a thread's own; elsewhere it would be the whole process's.
    if sys.platform == "linux":
        own = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, own, os.getpriority(os.PRIO_PROCESS, own) + NICENESS)


def _bytes(text: str, vector: Vector) -> int:
    return sys.getsizeof(text) + vector.nbytes + ENTRY_BYTES
