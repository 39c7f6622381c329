"""Encode what concurrent rollouts bring, together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Encoded = tuple[NDArray[np.float32], float]


class MicroBatcher:
    """Collect texts while the encoder is busy, then encode all of them in one call.

    Parameters
    ----------
    encode : callable
        Maps texts to a float array, shape (texts, d). Runs in a thread, one call at a time.
    """

    def __init__(self, encode: Callable[[Sequence[str]], NDArray[np.float32]]) -> None:
        self._encode = encode
        self._texts: list[str] = []
        self._batch: asyncio.Task[Encoded] | None = None
        self._busy = asyncio.Lock()

    async def encode(self, text: str) -> Encoded:
        """Return the embedding, shape (d,), and this text's share of the encoding time in s."""
        position = len(self._texts)
        self._texts.append(text)
        if self._batch is None:
            self._batch = asyncio.create_task(self._run())
        # One waiter that is cancelled must not take the others' batch with it.
        vectors, share = await asyncio.shield(self._batch)
        return vectors[position], share

    async def _run(self) -> Encoded:
        async with self._busy:
            texts, self._texts, self._batch = self._texts, [], None
            began = time.perf_counter()
            vectors = await asyncio.get_running_loop().run_in_executor(None, self._encode, texts)
            return vectors, (time.perf_counter() - began) / len(texts)
