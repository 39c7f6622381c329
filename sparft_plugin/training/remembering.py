"""The memory's side of a training run: prompts encoded ahead, groups scored, then written."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.memory.base import IntrinsicReward, MemoryGroup, Terms
from sparft_plugin.training.encoding import Vector, background_thread, free_cores, memory_encoder
from sparft_plugin.training.groups import FinishedGroup
from sparft_plugin.training.metrics import PartTimer

logger = logging.getLogger(__name__)


class Queries:
    """Embeddings of prompts, each encoded once in a thread, from the moment it is picked.

    ``encode`` maps n texts to an array, shape (n, d), one call at a time; a vector must depend on
    its text alone, because what is encoded in one call is a matter of timing. What it raises
    reaches whoever waits for one of its texts.
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


class Remembering:
    """A memory with the embeddings of the prompts it is asked about.

    ``memory`` is the reward with an empty memory; ``text_of`` gives the text of a prompt id, or a
    KeyError where the run's data does not tell it; ``timer`` counts what a step waits for; for
    ``encoder_options`` see `memory_encoder`.
    """

    def __init__(
        self,
        memory: IntrinsicReward,
        text_of: Callable[[str], str],
        timer: PartTimer,
        encoder_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.text_of = text_of
        self.timer = timer
        self.embedder = memory_encoder(memory.encoder, encoder_options)
        # While the driver waits for rollouts, its node's cores are as free as they get.
        self.embedder.cores = free_cores()
        self.queries = Queries(self.embedder.encode)
        # The saved memory names the weights, not only the model: other weights are refused.
        memory.encoder = self.embedder.identity
        self.memory = memory
        self._texts_of_resumed: dict[str, str] = {}
        self._warned = False

    def lacks_text(self, prompt_id: str) -> bool:
        """Whether a prompt can be neither looked up nor read from the run's data.

        So it is where a group was in flight at the checkpoint that the run resumed from, and the
        prompt has left the pool, or without a curriculum has not been drawn again.
        """
        try:
            _ = prompt_id in self.queries or self._text(prompt_id)
        except KeyError:
            return True
        return False

    def add_text(self, prompt_id: str, text: str) -> None:
        """Tell the text of a prompt that the run's data lacks."""
        self._texts_of_resumed[prompt_id] = text

    def encode_queries(self, prompt_ids: Iterable[str]) -> None:
        """Begin to encode the prompts that were not met yet; nobody waits for it here."""
        self.queries.begin({i: self._text(i) for i in prompt_ids if i not in self.queries})

    def score_and_write(
        self, trained: Sequence[FinishedGroup], cleared: Sequence[FinishedGroup]
    ) -> list[Terms]:
        """Score the trained groups against the memory as it stood, then write all groups."""
        groups = [*trained, *cleared]
        if not groups:
            return []
        with self.timer.part("encode_queries"):
            prompt_ids = {group.prompt_id for group in groups}
            self.encode_queries(sorted(prompt_ids))
            queries = self.queries.wait(prompt_ids)
        self._warn_of_long(groups)
        with self.timer.part("memory"):
            remembered = [_memory_group(group, queries[group.prompt_id]) for group in groups]
            terms = self.memory.score(remembered[: len(trained)])
            self.memory.write(remembered)
        return terms

    def state_dict(self) -> dict[str, Any]:
        """Return the memory's state with tensors, which share its memory, in place of arrays."""
        import torch

        return {
            name: torch.from_numpy(part) if isinstance(part, np.ndarray) else part
            for name, part in self.memory.state_dict().items()
        }

    def load_state_dict(self, state: Mapping[str, Any] | bytes) -> None:
        """Put back what `state_dict` gave, or the bytes that older releases saved."""
        if not isinstance(state, bytes):
            state = {
                name: part.numpy() if hasattr(part, "numpy") else part
                for name, part in state.items()
            }
        self.memory.load_state_dict(state)

    def _text(self, prompt_id: str) -> str:
        resumed = self._texts_of_resumed.get(prompt_id)
        return self.text_of(prompt_id) if resumed is None else resumed

    def _warn_of_long(self, groups: Sequence[FinishedGroup]) -> None:
        """Say once that the encoder reads the beginning only, if most responses are longer."""
        tokens = [group.tokens for group in groups if group.tokens is not None]
        stored = self.memory.options().get("stored")
        if self._warned or not tokens or stored in ("tail", "windows"):
            return
        if np.median(np.concatenate(tokens)) > self.embedder.reads:
            self._warned = True
            logger.warning(
                "sparft: most responses are longer than the %d tokens that the memory's encoder "
                "reads of their beginning, so two that only open alike count as the same; set "
                "sparft.memory.stored to tail or windows.",
                self.embedder.reads,
            )


def _memory_group(group: FinishedGroup, query: NDArray[np.float32]) -> MemoryGroup:
    assert group.responses is not None
    return MemoryGroup(group.prompt_id, query, group.responses, group.accuracies)
