"""Find a tagged block that stands in a response exactly once."""

from __future__ import annotations

from typing import NamedTuple


class Block(NamedTuple):
    """A tagged block: ``text[begin:end]`` with its tags, ``content`` without."""

    begin: int
    end: int
    content: str


def has_tag(text: str, tag: str) -> bool:
    """Whether an opening or closing tag of this name stands anywhere in a text."""
    return f"<{tag}>" in text or f"</{tag}>" in text


def only_block(text: str, tag: str) -> Block | None:
    """Return the block of a tag, or None unless it opens once and closes once, in that order.

    Plain searches, no regular expression: the time is linear in the text whatever it holds, and
    line breaks are characters like any other.

    Parameters
    ----------
    text : str
        A response.
    tag : str
        Name of the tag, in the case it must have: "answer".
    """
    opening, closing = f"<{tag}>", f"</{tag}>"
    begin, end = text.find(opening), text.find(closing)
    if begin < 0 or end < begin or text.rfind(opening) != begin or text.rfind(closing) != end:
        return None
    return Block(begin, end + len(closing), text[begin + len(opening) : end])
