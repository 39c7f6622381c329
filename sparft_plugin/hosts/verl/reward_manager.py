"""The recipe's own reward manager, with raw accuracy and response embeddings recorded beside it."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf
from verl import DataProto
from verl.experimental.reward_loop.reward_manager import get_reward_manager_cls
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase
from verl.utils.import_utils import load_extern_object

from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl.background import cores_of_a_worker
from sparft_plugin.hosts.verl.encoder import encode_stored, memory_encoder
from sparft_plugin.hosts.verl.microbatch import MicroBatcher
from sparft_plugin.hosts.verl.reward_checks import (
    MEND,
    SameKeys,
    check_embedding,
    raw_accuracy,
)
from sparft_plugin.memory.stored import stored_text


class FeedbackRewardManager(RewardManagerBase):  # type: ignore[misc]
    """Run the wrapped reward manager unchanged, then attach what the driver needs.

    Training rollouts, known by ``extra_info["sparft"]``, get ``acc``, the raw accuracy,
    ``sparft_tokens``, the length of the response, and ``sparft_at_limit``, whether it filled
    ``rollout.response_length``. With a memory they also get ``sparft_embedding``, float16 (d,),
    encoded here so that the cost hides behind generation, and ``sparft_blank``, whether the
    encoded text is empty: so are an empty response, one of special tokens only and, where the
    reasoning is stored, an empty reasoning. They get the embedding of the empty text. Validation
    rollouts pass through untouched.

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
        self.limit = int(config.actor_rollout_ref.rollout.response_length)
        self.keys = SameKeys(every_key=not config.trainer.get("use_v1", False))
        self.batcher: MicroBatcher | None = None
        memory = config.sparft.memory
        if memory is not None:
            options = config.sparft.get("memory_encoder")
            self.encoder = memory_encoder(
                memory.encoder, OmegaConf.to_container(options) if options else None
            )
            self.stored = memory.get("stored", "response")
            self.encoder.cores = cores_of_a_worker(config)
            self.batcher = MicroBatcher(partial(encode_stored, self.encoder, self.stored))

    async def run_single(self, data: DataProto) -> dict[str, Any]:
        """Score one rollout; see the class.

        Raises
        ------
        SparftError
            If the reward function does not tell what a training rollout needs, or the encoder
            gives a vector without a direction.
        """
        final = data[-1]
        # verl's managers write into extra_info, where a reward function may too.
        tag = (final.non_tensor_batch.get("extra_info") or {}).get("sparft")
        result = await self._outcome(data)
        if tag is None:
            return result
        extra = dict(result.get("reward_extra_info") or {})
        self.keys.check(extra)
        extra["acc"] = raw_accuracy(extra, result["reward_score"])
        tokens = response_tokens(final)
        extra["sparft_tokens"] = len(tokens)
        extra["sparft_at_limit"] = len(tokens) >= self.limit
        if self.batcher is not None:
            extra |= await self._embedded(tokens, self.batcher)
        return {**result, "reward_extra_info": extra}

    async def _outcome(self, data: DataProto) -> dict[str, Any]:
        try:
            result: dict[str, Any] = await self.inner.run_single(data)
        except KeyError as error:
            if error.args != ("score",):
                raise
            raise SparftError(f"the reward function returned no 'score'; {MEND}.") from error
        return result

    async def _embedded(self, tokens: Any, batcher: MicroBatcher) -> dict[str, Any]:
        scored_at = time.time()
        whole = self.tokenizer.decode(tokens, skip_special_tokens=True)
        text = stored_text(whole, self.stored)
        embedding = await batcher.encode(text)
        check_embedding(embedding, self.encoder.identity, text)
        return {
            "sparft_embedding": embedding.astype(np.float16),
            "sparft_encoder": self.encoder.identity,
            "sparft_scored_at": scored_at,
            "sparft_embedded_at": time.time(),
            "sparft_blank": not text.strip(),
        }


def response_tokens(item: Any) -> Any:
    """Token ids of a response without its padding, shape (tokens,)."""
    responses = item.batch["responses"]
    # Of several outputs verl 0.9 pads prompt and response as one, so only this tells the length.
    length = item.non_tensor_batch.get("response_len")
    if length is None:
        length = item.batch["attention_mask"][-responses.shape[-1] :].sum()
    return responses[: int(length)]


def wrapped_manager(config: DictConfig) -> Any:
    """Return the recipe's own reward manager class, verl's ``naive`` by default."""
    wrapped = config.sparft.wraps.reward_manager
    if wrapped.source == "importlib":
        return load_extern_object(wrapped.path, wrapped.name)
    return get_reward_manager_cls(wrapped.name)
