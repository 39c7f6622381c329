"""The memory's encoder, the same on the driver and in the reward workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin import plugins
from sparft_plugin.errors import unknown_name
from sparft_plugin.reduction.embedders.sentence_transformer import SentenceTransformerEmbedder

BATCH_TOKENS = 128
"""Tokens of a pass with torch; see `memory_encoder`."""
OPTIONS = ("precision", "backend", "batch_tokens", "device")


def memory_encoder(
    model: str, options: Mapping[str, Any] | None = None
) -> SentenceTransformerEmbedder:
    """Return the encoder of prompts and responses; its weights load at first use.

    An embedding does not depend on what else was waiting, so a resumed run remembers the same
    numbers. It runs on the CPU unless told otherwise: the GPUs belong to training and generation.

    Parameters
    ----------
    model : str
        ``sparft.memory.encoder``: a folder, a hub id or the packaged all-MiniLM-L6-v2.
    options : mapping or None
        ``sparft.memory_encoder``: ``precision``, ``backend``, ``batch_tokens`` and ``device`` as
        in `SentenceTransformerEmbedder`, except that ``device`` is ``cpu`` by default, where torch
        takes 128 tokens a pass: of short responses that come a few at a time a pass of 256 would
        be filler mostly, at twice the time, and of many at once it saves a twentieth. OpenVINO
        takes a text a pass, which costs it little.

    Raises
    ------
    SparftError
        If an option is unknown or its value is.
    """
    given = dict(options or {})
    for name in given:
        if name not in OPTIONS:
            raise unknown_name("option of sparft.memory_encoder", str(name), OPTIONS)
    given["device"] = given.get("device") or "cpu"
    if given.get("batch_tokens") is None and given["device"] == "cpu":
        given["batch_tokens"] = 1 if given.get("backend") == "openvino" else BATCH_TOKENS
    encoder: SentenceTransformerEmbedder = plugins.build(
        "embedder", "sentence_transformers", {"model": model, **given}
    )
    return encoder


def encode_stored(
    encoder: SentenceTransformerEmbedder, stored: str, texts: Sequence[str]
) -> NDArray[np.float32]:
    """Encode n texts of responses as ``sparft.memory.stored`` says.

    Parameters
    ----------
    encoder : SentenceTransformerEmbedder
    stored : {"response", "reasoning", "tail", "windows"}
        ``tail`` encodes the end of a text, ``windows`` all of it in windows, whose mean is scaled
        to norm 1: a pass for each window. Else the encoder reads the beginning.
    texts : sequence of str

    Returns
    -------
    float32 (n, d)
    """
    if stored == "tail":
        texts = [encoder.tail(text) for text in texts]
    if stored != "windows":
        return encoder.encode(texts)
    parts = [encoder.windows(text) for text in texts]
    encoded = encoder.encode([part for some in parts for part in some])
    ends = np.cumsum([len(some) for some in parts])[:-1]
    means = np.stack([block.mean(axis=0, dtype=np.float64) for block in np.split(encoded, ends)])
    units: NDArray[np.float32] = means / np.linalg.norm(means, axis=1, keepdims=True)
    return units.astype(np.float32)
