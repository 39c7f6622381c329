"""Which of many known texts occur inside another text, without trying each of them."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence

WIDTHS = (24, 6, 1)
"""Lengths of the windows that texts are found by; a text uses the longest that fits in it."""
_MASK = (1 << 21) - 1


class TextIndex:
    """Finds the texts that occur in an input by one rare window of each.

    Every text is listed under one of its windows of fixed length, the one that fewest texts share,
    since prompts of one data set often begin or end alike. An input is cut into all its windows,
    and only the texts listed under one of them are compared in full.

    Parameters
    ----------
    texts : sequence of str
        Distinct texts as ``normalize`` gives them, none empty.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = list(texts)
        # A bounded table of counts: a collision only makes a choice less good.
        counts = Counter(hash(w) & _MASK for text in self._texts for w in _tiles(text))
        self._listed: dict[int, dict[str, list[int]]] = {}
        for place, text in enumerate(self._texts):
            window = min(_tiles(text), key=lambda w: counts[hash(w) & _MASK])
            self._listed.setdefault(len(window), {}).setdefault(window, []).append(place)

    def longest_in(self, text: str) -> list[int]:
        """Places of the longest texts that occur in a text.

        Parameters
        ----------
        text : str
            As ``normalize`` gives it.

        Returns
        -------
        list of int
            Increasing; more than one if different texts of that length occur, empty if none does.
        """
        found = {
            place
            for width, listed in self._listed.items()
            for window in {text[i : i + width] for i in range(len(text) - width + 1)}
            for place in listed.get(window, ())
            if self._texts[place] in text
        }
        longest = max((len(self._texts[place]) for place in found), default=0)
        return sorted(place for place in found if len(self._texts[place]) == longest)


def normalize(text: str) -> str:
    """Without what chat templates and tokenizers change: outer white space, Unicode's NFC."""
    return unicodedata.normalize("NFC", text).strip()


def _tiles(text: str) -> Iterator[str]:
    """Windows that together cover the text; the last one ends with it."""
    width = next(width for width in WIDTHS if len(text) >= width)
    for start in range(0, len(text) - width, width):
        yield text[start : start + width]
    yield text[-width:]
