"""Encode what concurrent rollouts bring, together and each different text once."""

from __future__ import annotations

import asyncio
import sys
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.training.background import background_thread

Vector = NDArray[np.float32]

CACHE_BYTES = 32 << 20
"""About 15,000 responses of 384 numbers and 300 characters."""
_ENTRY_BYTES = 300
"""What an entry takes beside its text and its numbers, roughly."""


class MicroBatcher:
    """Collect texts while the encoder is busy, then encode all of them in one call.

    A text that was encoded before, waits or is being encoded is not encoded again; what was
    encoded is kept, the texts met longest ago given up first.

    Parameters
    ----------
    encode : callable
        Maps texts, none of them twice, to a float array, shape (texts, d). Runs in a thread, one
        call at a time. What it raises reaches everyone who waits for a text of that call.
    cache_bytes : int >= 0
        Most bytes of texts and vectors to keep.
    """

    def __init__(
        self, encode: Callable[[Sequence[str]], Vector], cache_bytes: int = CACHE_BYTES
    ) -> None:
        self._encode = encode
        self._thread = background_thread("sparft-encoder")
        self._kept = _LeastRecent(cache_bytes)
        self._texts: list[str] = []
        self._next: asyncio.Task[dict[str, Vector]] | None = None
        self._batch_of: dict[str, asyncio.Task[dict[str, Vector]]] = {}
        self._busy = asyncio.Lock()

    async def encode(self, text: str) -> Vector:
        """Return the embedding, shape (d,)."""
        kept = self._kept.get(text)
        if kept is not None:
            return kept
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
                self._kept.put(text, vector)
            return vectors


class _LeastRecent:
    """Vectors by text, bounded in bytes; the one asked for longest ago leaves first."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._bytes = 0
        self._vectors: OrderedDict[str, Vector] = OrderedDict()

    def get(self, text: str) -> Vector | None:
        vector = self._vectors.get(text)
        if vector is not None:
            self._vectors.move_to_end(text)
        return vector

    def put(self, text: str, vector: Vector) -> None:
        """Keep a vector of a text that is not kept yet."""
        # A row of a batch would keep the whole batch alive.
        self._vectors[text] = vector.copy()
        self._bytes += _size(text, vector)
        while self._bytes > self._capacity:
            self._bytes -= _size(*self._vectors.popitem(last=False))


def _size(text: str, vector: Vector) -> int:
    return sys.getsizeof(text) + vector.nbytes + _ENTRY_BYTES
