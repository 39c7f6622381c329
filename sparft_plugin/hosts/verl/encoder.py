"""The memory's encoder, the same on the driver and in the reward workers."""

from __future__ import annotations

from sparft_plugin import plugins
from sparft_plugin.reduction.embedders import Embedder


def memory_encoder(model: str) -> Embedder:
    """Return the encoder of prompts and responses; its weights load at first use.

    It takes one text a forward pass: an embedding then does not depend on what else was waiting,
    so a resumed run remembers the same numbers.
    """
    options = {"model": model, "batch_tokens": 1}
    encoder: Embedder = plugins.build("embedder", "sentence_transformers", options)
    return encoder
