r"""Find what a response puts into ``\boxed{...}``."""

from __future__ import annotations

import re
from collections.abc import Iterator

BOX = "\\boxed{"
# An escaped brace is text, so it is a token of its own that opens and closes nothing.
BRACE = re.compile(r"\\\\|\\[{}]|[{}]")


def boxes(text: str, longest: int) -> Iterator[str | None]:
    r"""Yield the contents of all boxes, in order; None, and no more, at one that does not close.

    The time is linear in the text. A box inside a box belongs to the outer one's content; braces
    outside boxes are ignored, balanced or not; ``\\boxed`` is a line break and a word.

    Parameters
    ----------
    text : str
        A response.
    longest : int
        Characters of the longest content that is looked through.
    """
    at = 0
    while (found := text.find(BOX, at)) >= 0:
        before = text[at:found]
        begin = found + len(BOX)
        if (len(before) - len(before.rstrip("\\"))) % 2:
            at = begin
            continue
        end = closing_brace(text, begin, longest)
        yield None if end is None else text[begin:end]
        if end is None:
            return
        at = end + 1


def closing_brace(text: str, begin: int, longest: int) -> int | None:
    """Return where the brace closes whose content begins at `begin`, or None if too far away."""
    depth = 1
    for match in BRACE.finditer(text, begin, begin + longest + 1):
        depth += {"{": 1, "}": -1}.get(match.group(), 0)
        if not depth:
            return match.start()
    return None
