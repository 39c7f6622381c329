"""The memory's encoder, the same on the driver and in the reward workers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sparft_plugin import plugins
from sparft_plugin.errors import unknown_name
from sparft_plugin.reduction.embedders import Embedder

BATCH_TOKENS = 256
"""Tokens of a pass with torch; see `memory_encoder`."""
OPTIONS = ("precision", "backend", "batch_tokens")


def memory_encoder(model: str, options: Mapping[str, Any] | None = None) -> Embedder:
    """Return the encoder of prompts and responses; its weights load at first use.

    An embedding does not depend on what else was waiting, so a resumed run remembers the same
    numbers. It runs on the CPU: the GPUs belong to training and generation.

    Parameters
    ----------
    model : str
        ``sparft.memory.encoder``: a folder, a hub id or the packaged all-MiniLM-L6-v2.
    options : mapping or None
        ``sparft.memory_encoder``: ``precision``, ``backend`` and ``batch_tokens`` as in
        `SentenceTransformerEmbedder`, except that torch takes 256 tokens a pass by default: a
        hundred texts at once take about a tenth less time so than one a pass, and one that comes
        alone takes almost three times as long, beside generation.

    Raises
    ------
    SparftError
        If an option is unknown or its value is.
    """
    given = dict(options or {})
    for name in given:
        if name not in OPTIONS:
            raise unknown_name("option of sparft.memory_encoder", str(name), OPTIONS)
    if given.get("batch_tokens") is None and given.get("backend", "torch") == "torch":
        given["batch_tokens"] = BATCH_TOKENS
    encoder: Embedder = plugins.build(
        "embedder", "sentence_transformers", {"model": model, "device": "cpu", **given}
    )
    return encoder
