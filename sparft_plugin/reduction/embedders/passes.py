"""Texts as forward passes of a few fixed shapes, chosen by the length of each text alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from sparft_plugin.reduction.embedders.base import readable

_FINE, _COARSE, _LONG = 8, 32, 128
CHARACTERS = 64
"""Characters of a text for each token that is asked for, before it is tokenised; words of a
language take about 4."""


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
    rows = first_tokens([text.strip() for text in texts], tokenizer, limit)
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


def first_tokens(texts: Sequence[str], tokenizer: Any, limit: int) -> list[list[int]]:
    """Return the first tokens of each text, special ones included, `limit` at most.

    A text is cut to 64 characters a token first, so that a megabyte costs no more than a page;
    where these give fewer than `limit` tokens, all of it is read.
    """

    def rows_of(some: Sequence[str]) -> list[list[int]]:
        read = [readable(text) for text in some]
        rows: list[list[int]] = tokenizer(read, truncation=True, max_length=limit)["input_ids"]
        return rows

    most = CHARACTERS * limit
    rows = rows_of([text[:most] for text in texts])
    for i, text in enumerate(texts):
        if len(text) > most and len(rows[i]) < limit:
            (rows[i],) = rows_of([text])
    return rows


def tail(text: str, tokenizer: Any, limit: int) -> str:
    """Return the end of a text, as many of its words as the model reads."""
    room = limit - tokenizer.num_special_tokens_to_add()
    end = text[-CHARACTERS * limit :]
    starts, words = _starts(end, tokenizer, room)
    if len(starts) <= room and len(end) < len(text):
        end = text
        starts, words = _starts(end, tokenizer, room)
    least = len(starts) - room
    return end if least <= 0 else end[starts[min(word for word in words if word >= least)] :]


def windows(text: str, tokenizer: Any, limit: int) -> list[str]:
    """Cut a text between words into parts that the model reads whole, about equally long."""
    room = limit - tokenizer.num_special_tokens_to_add()
    starts, words = _starts(text, tokenizer, room)
    count, tokens = max(1, -(-len(starts) // room)), np.array([*words, len(starts)], np.int64)
    while True:
        aims = np.arange(1, count) * len(starts) / count
        cuts = np.unique(tokens[np.searchsorted(tokens, aims)])
        if np.diff([0, *cuts, len(starts)]).max() <= room:
            break
        count += 1
    places = [0, *(starts[cut] for cut in cuts if cut < len(starts)), len(text)]
    return [text[a:b] for a, b in pairwise(places)]


def _starts(text: str, tokenizer: Any, room: int) -> tuple[list[int], list[int]]:
    """Where each token begins, and which tokens begin a word; all of them if one word is long."""
    read = tokenizer(
        readable(text), add_special_tokens=False, return_offsets_mapping=True, verbose=False
    )
    ids = read.word_ids()
    words = [i for i, word in enumerate(ids) if not i or word != ids[i - 1]]
    longest = max((b - a for a, b in pairwise([*words, len(ids)])), default=0)
    return [begin for begin, _ in read["offset_mapping"]], (
        words if longest <= min(_FINE, room) else list(range(len(ids)))
    )


def _padded(tokens: int, limit: int) -> int:
    step = _FINE if tokens <= _LONG else _COARSE
    return min(limit, -(-tokens // step) * step)
