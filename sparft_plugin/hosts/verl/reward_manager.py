"""The recipe's own reward manager, with raw accuracy and response embeddings recorded beside it."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from functools import cached_property, partial
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf
from verl import DataProto
from verl.experimental.reward_loop.reward_manager import get_reward_manager_cls
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase
from verl.utils.import_utils import load_extern_object

from sparft_plugin.config.accuracy import MEND, AccuracyRule
from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl.memory_costs import cores_of_a_worker
from sparft_plugin.memory.memory_r import stored_text
from sparft_plugin.training.encoding import (
    MicroBatcher,
    check_embedding,
    encode_stored,
    memory_encoder,
)

logger = logging.getLogger(__name__)


class FeedbackRewardManager(RewardManagerBase):  # type: ignore[misc]
    """Run the wrapped reward manager unchanged, then attach what the driver needs.

    Training rollouts, known by ``extra_info["sparft"]``, get ``acc``, the raw accuracy, and
    ``sparft_source``, what it was read from; ``sparft_score``, the outcome reward;
    ``sparft_tokens``, the length of the response; and ``sparft_at_limit``, whether it filled
    ``rollout.response_length``. With a memory they also get ``sparft_embedding``, float16 (d,),
    encoded here so that the cost hides behind generation, ``sparft_encoder``, the identity of the
    encoder, and ``sparft_blank``, whether the encoded text is empty: so are an empty response, one
    of special tokens only and, where the reasoning is stored, an empty reasoning. They get the
    embedding of the empty text. Validation rollouts pass through untouched.

    verl's v1 trainer drops the rollouts whose reward raised and trains on the others, so nothing
    is raised here for a training rollout: a fault becomes ``sparft_fault``, one sentence beside a
    reward of 0, and the driver stops the run with it before anything is learned. The legacy
    trainers stop by themselves where a reward raises.
    """

    def __init__(
        self, config: DictConfig, tokenizer: Any, compute_score: Any, **kwargs: Any
    ) -> None:
        super().__init__(config, tokenizer, compute_score)
        self.inner = wrapped_manager(config)(
            config=config, tokenizer=tokenizer, compute_score=compute_score, **kwargs
        )
        self.limit = int(config.actor_rollout_ref.rollout.response_length)
        self.accuracy = AccuracyRule(config.sparft.get("accuracy"))
        self.raises = not config.trainer.get("use_v1", False)
        self.memory = config.sparft.memory

    @cached_property
    def encoder(self) -> Any:
        """The memory's encoder; made at first use, because a worker's constructor cannot tell."""
        options = self.config.sparft.get("memory_encoder")
        encoder = memory_encoder(
            self.memory.encoder, OmegaConf.to_container(options) if options else None
        )
        encoder.cores = cores_of_a_worker(self.config)
        return encoder

    @cached_property
    def batcher(self) -> MicroBatcher:
        """Encodes what concurrent rollouts bring together."""
        stored = self.memory.get("stored", "response")
        return MicroBatcher(partial(encode_stored, self.encoder, stored))

    async def run_single(self, data: DataProto) -> dict[str, Any]:
        """Score one rollout; see the class."""
        final = data[-1]
        # verl's managers write into it, where a reward function may too.
        info = final.non_tensor_batch.get("extra_info")
        info = {} if info is None else info
        # As verl's legacy trainers do; verifiers look there for work that an answer leaves undone.
        if "raw_prompt" in final.non_tensor_batch:
            info.setdefault("raw_prompt", final.non_tensor_batch["raw_prompt"])
        tag = info.get("sparft")
        if tag is None:
            untouched: dict[str, Any] = await self.inner.run_single(data)
            return untouched
        doing = "the reward function"
        try:
            result = await self.inner.run_single(data)
            extra = self._told(final, result)
            if self.memory is not None:
                doing = f"the memory's encoder {self.memory.encoder}"
                extra |= await self._embedded(response_tokens(final))
        # Whatever a recipe's function or a model library raises must reach the driver.
        except Exception as error:
            sentence = fault_of(error, doing, tag)
            if self.raises:
                raise SparftError(sentence) from error
            logger.exception("sparft: %s", sentence)
            return {"reward_score": 0.0, "reward_extra_info": {"sparft_fault": sentence}}
        return {**result, "reward_extra_info": extra}

    def _told(self, final: Any, result: Mapping[str, Any]) -> dict[str, Any]:
        """What the wrapped manager told of a rollout, with accuracy, score and length."""
        extra = dict(result.get("reward_extra_info") or {})
        score = result["reward_score"]
        extra["acc"], extra["sparft_source"] = self.accuracy.read(extra, score)
        extra["sparft_score"] = float(score)
        extra["sparft_tokens"] = len(response_tokens(final))
        extra["sparft_at_limit"] = extra["sparft_tokens"] >= self.limit
        return extra

    async def _embedded(self, tokens: Any) -> dict[str, Any]:
        scored_at = time.time()
        whole = self.tokenizer.decode(tokens, skip_special_tokens=True)
        text = stored_text(whole, self.memory.get("stored", "response"))
        embedding = await self.batcher.encode(text)
        check_embedding(embedding, self.encoder.identity, text)
        return {
            "sparft_embedding": embedding.astype(np.float16),
            "sparft_encoder": self.encoder.identity,
            "sparft_scored_at": scored_at,
            "sparft_embedded_at": time.time(),
            "sparft_blank": not text.strip(),
        }


def fault_of(error: Exception, doing: str, tag: Mapping[str, Any]) -> str:
    """Return the sentence that stops the run, which names the row and the mend."""
    row = tag.get("row")
    place = f"prompt {tag['id']}" if row is None else f"row {row} of data.train_files"
    if isinstance(error, SparftError):
        return f"{place}: {error}"
    if isinstance(error, KeyError) and error.args == ("score",):
        return f"{place}: {doing} returned no 'score'; {MEND}."
    return (
        f"{place}: {doing} raised {type(error).__name__}: {error}; mend it, or let it handle such "
        "a response."
    )


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
