"""Embeddings of prompts, encoded in a thread while the rollouts are generated."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.training.background import background_thread

Vector = NDArray[np.float32]


class Queries:
    """Encode each prompt once, from the moment it is picked.

    Parameters
    ----------
    encode : callable
        Maps n texts to an array, shape (n, d); a vector must depend on its text alone, because
        what is encoded in one call is a matter of timing. Runs in a thread, one call at a time;
        what it raises reaches whoever waits for one of its texts.
    """

    def __init__(self, encode: Callable[[Sequence[str]], Vector]) -> None:
        self._encode = encode
        self._thread = background_thread("sparft-queries")
        self._begun: set[str] = set()
        self._texts: deque[tuple[str, str]] = deque()
        self._calls: deque[Future[None]] = deque()
        self._vectors: dict[str, Vector] = {}

    def __contains__(self, prompt_id: str) -> bool:
        """Whether a prompt has been told."""
        return prompt_id in self._begun

    def begin(self, texts: Mapping[str, str]) -> None:
        """Begin to encode prompts, given by their ids, that were not told before."""
        new = [(prompt_id, text) for prompt_id, text in texts.items() if prompt_id not in self]
        if new:
            self._begun.update(prompt_id for prompt_id, _ in new)
            self._texts.extend(new)
            self._calls.append(self._thread.submit(self._run))

    def wait(self, prompt_ids: Iterable[str]) -> dict[str, Vector]:
        """Return the embeddings of prompts that were told, once they are there."""
        wanted = set(prompt_ids)
        while not wanted <= self._vectors.keys():
            self._calls.popleft().result()
        return {prompt_id: self._vectors[prompt_id] for prompt_id in wanted}

    def _run(self) -> None:
        """Encode all that has been told by now; calls that find nothing do nothing."""
        told = [self._texts.popleft() for _ in range(len(self._texts))]
        if told:
            vectors = self._encode([text for _, text in told])
            self._vectors.update(zip((i for i, _ in told), vectors, strict=True))
