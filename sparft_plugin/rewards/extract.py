"""The one answer of a response, or none."""

from __future__ import annotations

from sparft_plugin.rewards.boxes import boxes
from sparft_plugin.rewards.tags import has_tag, only_block

LONGEST = 300
"""Characters of the longest answer that is read; whatever is longer is no answer."""

HASHES = "####"
REASONING = ("reasoning", "think")


def extract_answer(response: str) -> str | None:
    r"""Return the one final answer of a response, without its marks, or None.

    The first rule that applies decides, and the others are not asked:

    1. With an ``<answer>`` or ``</answer>`` tag: the content of the only answer block.
    2. Otherwise the reasoning block (``<reasoning>`` or ``<think>``) is left out; a response that
       never closes it, or closes it twice, has no answer.
    3. With ``\boxed{}``: its content; several boxes must all hold the same.
    4. With ``####``: the rest of its line.

    A tag or a ``####`` that is repeated, two boxes that differ, a box that is never closed or that
    holds another, an empty answer and one of more than ``LONGEST`` characters are no answer: a
    response that offers several must not be paid for the one that happens to be right. A response
    without any mark has no answer, however short it is.

    Parameters
    ----------
    response : str
        Any text, of any length; the time is linear in it.
    """
    if has_tag(response, "answer"):
        block = only_block(response, "answer")
        return None if block is None else unwrap(block.content)
    rest = after_reasoning(response)
    if rest is None:
        return None
    if has_box(rest):
        return only_box(rest)
    _, _, after = rest.partition(HASHES)
    # A fifth # makes the mark a heading's, or a second mark.
    return None if after.startswith("#") or HASHES in after else unwrap(after.split("\n", 1)[0])


def unwrap(text: str) -> str | None:
    r"""Return an answer without the box, ``$`` signs and full stop around it, or None."""
    if has_box(text):
        return only_box(text)
    text = text.strip().removesuffix(".").rstrip()
    for opening, closing in (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")):
        inner = text[len(opening) : -len(closing)]
        if text == f"{opening}{inner}{closing}":
            text = inner.strip()
            break
    return text if 0 < len(text) <= LONGEST else None


def only_box(text: str) -> str | None:
    """Return what all boxes of a text hold, or None if there is none or two differ."""
    found = boxes(text, LONGEST)
    first = next(found, None)
    if first is None or has_box(first):
        return None
    same = all(other is not None and other.strip() == first.strip() for other in found)
    return unwrap(first) if same else None


def has_box(text: str) -> bool:
    """Whether a text begins a box, closed or not."""
    return "\\boxed" in text


def after_reasoning(response: str) -> str | None:
    """Return what follows the reasoning block; None if it is not closed exactly once.

    A chat template may open the block in the prompt, so the opening tag may be missing.
    """
    for tag in REASONING:
        if has_tag(response, tag):
            reasoning, closing, rest = response.partition(f"</{tag}>")
            if not closing or has_tag(rest, tag) or reasoning.count(f"<{tag}>") > 1:
                return None
            response = rest
    return response
