"""Tokens of prompts, where a budget counts them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sparft_plugin import plugins
from sparft_plugin.reduction.budget import parse_budget
from sparft_plugin.reduction.config import ReductionConfig
from sparft_plugin.reduction.embedders.models import find_weights, not_installed, unreachable

_BATCH = 4096


def budget_in_tokens(config: ReductionConfig) -> bool:
    """Whether the budget is a number of tokens."""
    return config.budget is not None and parse_budget(config.budget).unit == "tokens"


def count_tokens(texts: Sequence[str], config: ReductionConfig) -> NDArray[np.int64]:
    """Tokens of each text, shape (n,), special tokens not counted.

    Raises
    ------
    SparftError
        If the tokenizer cannot be loaded.
    """
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise not_installed("transformers", "embed") from error
    owner = plugins.lookup("embedder", config.embedder).owner
    weights = find_weights(config.tokenizer or config.encoder, owner=owner)
    try:
        tokenizer = AutoTokenizer.from_pretrained(weights.location, revision=weights.revision)
    except (OSError, ValueError) as error:
        raise unreachable(weights.location, error) from error
    counts = []
    for start in range(0, len(texts), _BATCH):
        batch = [texts[i] for i in range(start, min(start + _BATCH, len(texts)))]
        ids = tokenizer(batch, add_special_tokens=False, verbose=False)["input_ids"]
        counts += [len(row) for row in ids]
    return np.array(counts, dtype=np.int64)
