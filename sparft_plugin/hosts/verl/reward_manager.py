"""The recipe's own reward manager, with raw accuracy and response embeddings recorded beside it."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from omegaconf import DictConfig
from verl import DataProto
from verl.experimental.reward_loop.reward_manager import get_reward_manager_cls
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase
from verl.utils.import_utils import load_extern_object

from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl.encoder import memory_encoder
from sparft_plugin.hosts.verl.microbatch import MicroBatcher


class FeedbackRewardManager(RewardManagerBase):  # type: ignore[misc]
    """Run the wrapped reward manager unchanged, then attach what the driver needs.

    Training rollouts, known by ``extra_info["sparft"]``, get ``acc``, the raw accuracy, and with a
    memory ``sparft_embedding``, float16 (d,), encoded here so that the cost hides behind
    generation. Validation rollouts pass through untouched.

    Parameters
    ----------
    config, tokenizer, compute_score, **kwargs
        As verl gives them; ``config.sparft.wraps.reward_manager`` names the wrapped manager.
    """

    def __init__(
        self, config: DictConfig, tokenizer: Any, compute_score: Any, **kwargs: Any
    ) -> None:
        super().__init__(config, tokenizer, compute_score)
        self.inner = wrapped_manager(config)(
            config=config, tokenizer=tokenizer, compute_score=compute_score, **kwargs
        )
        self.batcher: MicroBatcher | None = None
        memory = config.sparft.memory
        if memory is not None:
            self.batcher = MicroBatcher(memory_encoder(memory.encoder).encode)

    async def run_single(self, data: DataProto) -> dict[str, Any]:
        """Score one rollout; see the class."""
        final = data[-1]
        tag = (final.non_tensor_batch.get("extra_info") or {}).get("sparft")
        result: dict[str, Any] = await self.inner.run_single(data)
        if tag is None:
            return result
        extra = dict(result.get("reward_extra_info") or {})
        extra["acc"] = raw_accuracy(extra, result["reward_score"])
        if self.batcher is not None:
            text = self._response_text(final)
            began = time.perf_counter()
            embedding, share = await self.batcher.encode(text)
            extra["sparft_embedding"] = embedding.astype(np.float16)
            extra["sparft_encode_ms"] = 1000 * min(share, time.perf_counter() - began)
        return {**result, "reward_extra_info": extra}

    def _response_text(self, item: Any) -> str:
        responses = item.batch["responses"]
        length = int(item.batch["attention_mask"][-responses.shape[-1] :].sum())
        text: str = self.tokenizer.decode(responses[:length], skip_special_tokens=True)
        return text


def wrapped_manager(config: DictConfig) -> Any:
    """Return the recipe's own reward manager class, verl's ``naive`` by default."""
    wrapped = config.sparft.wraps.reward_manager
    if wrapped.source == "importlib":
        return load_extern_object(wrapped.path, wrapped.name)
    return get_reward_manager_cls(wrapped.name)


def raw_accuracy(extra: dict[str, Any], score: float) -> float:
    """Return the reward function's ``acc``, or its score where it reports none.

    Raises
    ------
    SparftError
        If that is not a number in [0, 1].
    """
    accuracy = float(extra["acc"]) if "acc" in extra else float(score)
    if not 0.0 <= accuracy <= 1.0:
        raise SparftError(
            f"the reward function gave accuracy {accuracy}; return a dict with 'score' and with "
            "'acc' between 0 and 1."
        )
    return accuracy
