"""The memory's side of a training run: queries encoded once, groups scored, then written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sparft_plugin.hosts.verl.encoder import memory_encoder
from sparft_plugin.hosts.verl.groups import FinishedGroup
from sparft_plugin.hosts.verl.timing import PartTimer
from sparft_plugin.memory.base import IntrinsicReward, MemoryGroup, Terms


class Remembering:
    """A memory with the embeddings of the prompts it is asked about.

    Parameters
    ----------
    memory : IntrinsicReward
        The reward, with an empty memory.
    text_of : callable
        Returns the text of a prompt id; a KeyError where the run's data does not tell it.
    timer : PartTimer
        Counts what a step waits for.
    encoder_options : mapping or None
        See `memory_encoder`.
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
        # The saved memory names the weights, not only the model: other weights are refused.
        memory.encoder = self.embedder.identity
        self.memory = memory
        self.queries: dict[str, NDArray[np.float32]] = {}
        self._texts_of_resumed: dict[str, str] = {}

    def lacks_text(self, prompt_id: str) -> bool:
        """Whether a prompt can be neither looked up nor read from the run's data.

        So it is where a group was in flight at the checkpoint that the run resumed from, and the
        prompt has left the pool, or without a curriculum has not been drawn again.
        """
        if prompt_id in self.queries or prompt_id in self._texts_of_resumed:
            return False
        try:
            self.text_of(prompt_id)
        except KeyError:
            return True
        return False

    def add_text(self, prompt_id: str, text: str) -> None:
        """Tell the text of a prompt that the run's data lacks."""
        self._texts_of_resumed[prompt_id] = text

    def encode_queries(self, prompt_ids: Iterable[str]) -> None:
        """Encode the prompts that were not met yet, each once."""
        new = [i for i in dict.fromkeys(prompt_ids) if i not in self.queries]
        if new:
            vectors = self.embedder.encode([self._text(prompt_id) for prompt_id in new])
            self.queries.update(zip(new, vectors, strict=True))

    def score_and_write(
        self, trained: Sequence[FinishedGroup], cleared: Sequence[FinishedGroup]
    ) -> list[Terms]:
        """Score the trained groups against the memory as it stood, then write all groups.

        Returns
        -------
        list of Terms
            One per trained group; empty if there is none, and then nothing is written.
        """
        if not trained:
            return []
        groups = [*trained, *cleared]
        with self.timer.part("encode_queries"):
            self.encode_queries(group.prompt_id for group in groups)
        with self.timer.part("memory"):
            remembered = [self._memory_group(group) for group in groups]
            terms = self.memory.score(remembered[: len(trained)])
            self.memory.write(remembered)
        return terms

    def state_dict(self) -> dict[str, Any]:
        """Return the memory's state with tensors, which share its memory, in place of arrays."""
        return {
            name: torch.from_numpy(part) if isinstance(part, np.ndarray) else part
            for name, part in self.memory.state_dict().items()
        }

    def load_state_dict(self, state: Mapping[str, Any] | bytes) -> None:
        """Put back what `state_dict` gave, or the bytes that older releases saved."""
        if not isinstance(state, bytes):
            state = {
                name: part.numpy() if isinstance(part, torch.Tensor) else part
                for name, part in state.items()
            }
        self.memory.load_state_dict(state)

    def _text(self, prompt_id: str) -> str:
        resumed = self._texts_of_resumed.get(prompt_id)
        return self.text_of(prompt_id) if resumed is None else resumed

    def _memory_group(self, group: FinishedGroup) -> MemoryGroup:
        assert group.responses is not None
        return MemoryGroup(
            group.prompt_id, self.queries[group.prompt_id], group.responses, group.accuracies
        )
