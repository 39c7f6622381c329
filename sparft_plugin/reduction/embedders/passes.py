"""Texts as forward passes of a few fixed shapes, chosen by the length of each text alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sparft_plugin.reduction.embedders.base import readable

_FINE, _COARSE, _LONG = 8, 32, 128


class Pass(NamedTuple):
    """One forward pass."""

    at: list[int]
    """Positions of its texts among those given; its first rows are theirs, in this order."""
    features: Mapping[str, Any]
    """What the model reads: integer tensors of shape (rows, padded length)."""


def fixed_passes(texts: Sequence[str], tokenizer: Any, limit: int, tokens: int) -> Iterator[Pass]:
    """Group texts by padded length; a pass that is not full is filled up with a short text.

    Parameters
    ----------
    texts : sequence of str
        Texts to encode; blanks around them do not count.
    tokenizer : transformers tokenizer
        The model's own.
    limit : int >= 1
        Tokens a text is cut to.
    tokens : int >= 1
        Tokens of a pass, padding included; at least one text a pass.
    """
    whole = [readable(text.strip()) for text in texts]
    rows = tokenizer(whole, truncation=True, max_length=limit)["input_ids"]
    groups: dict[int, list[int]] = {}
    for i, row in enumerate(rows):
        groups.setdefault(_padded(len(row), limit), []).append(i)
    for length, members in sorted(groups.items()):
        size = max(1, tokens // length)
        for start in range(0, len(members), size):
            at = members[start : start + size]
            ids = [rows[i] for i in at] + [rows[at[0]][:2]] * (size - len(at))
            features = tokenizer.pad(
                {"input_ids": ids}, padding="max_length", max_length=length, return_tensors="pt"
            )
            yield Pass(at, dict(features))


def _padded(tokens: int, limit: int) -> int:
    step = _FINE if tokens <= _LONG else _COARSE
    return min(limit, -(-tokens // step) * step)
