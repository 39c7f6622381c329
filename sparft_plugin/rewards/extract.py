"""The one answer of a response, the truth of a row and the question it was asked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from numbers import Number
from typing import Any, NamedTuple

from sparft_plugin.errors import SparftError
from sparft_plugin.rewards.notation import STOP, canonical

LONGEST = 300
"""Characters of the longest answer that is read; whatever is longer is no answer."""
MOST_BOXES = 1_000
"""Boxes of one response that are compared; more of them are no answer."""
SPELLINGS = 8
"""Different spellings of one answer that they may have."""

HASHES = "####"
REASONING = ("reasoning", "think")
BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])[ \t]*")
# Without braces TeX boxes one character; people mean the word, up to a blank or the formula's end.
BARE = re.compile(r"[^\s${}]*")
# An escaped brace is text, so it is a token of its own that opens and closes nothing.
BRACE = re.compile(r"\\\\|\\[{}]|[{}]")
WRAPPERS = (("**", "**"), ("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))


class Block(NamedTuple):
    """A tagged block: ``text[begin:end]`` with its tags."""

    begin: int
    end: int
    content: str


def extract_answer(response: str) -> str | None:
    r"""Return the one final answer of a response, without its marks, or None.

    The first rule that applies decides, and the others are not asked:

    1. With an ``<answer>`` or ``</answer>`` tag: the content of the only answer block.
    2. Otherwise the reasoning block (``<reasoning>`` or ``<think>``) is left out; a response that
       never closes it, or closes it twice, has no answer.
    3. With ``\boxed{}`` or ``\fbox{}``: its content; several boxes must all hold the same.
    4. With ``####``: the rest of its line.

    A tag or a ``####`` that is repeated, two boxes that differ, a box that is never closed or that
    holds another, an empty answer and one of more than ``LONGEST`` characters are no answer: a
    response that offers several must not be paid for the one that happens to be right. A response
    without any mark has no answer, however short it is. The time is linear in the text.
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


def read_truth(ground_truth: Any, data_source: Any) -> str:
    r"""Return the answer that a row wants, without ``\boxed{}``, ``$`` or what precedes ``####``.

    One that no response could ever give is refused: empty, too long, no text and no number.
    """
    if isinstance(ground_truth, (str, Number)) and not isinstance(ground_truth, bool):
        text = unwrap(str(ground_truth).rpartition(HASHES)[2])
        if text is not None:
            return text
    shown = repr(ground_truth)
    raise SparftError(
        f"the ground truth {shown[:80]} of a row of {data_source!r} is no answer; "
        f"reward_model.ground_truth must be a text of 1 to {LONGEST} characters or a number."
    )


def read_question(extra_info: Any) -> str | None:
    """Return what a row asks, or None if it cannot be told.

    It is ``extra_info["question"]``, a text that rows may bring, as verl's own GSM8K example does;
    or what the user says in ``extra_info["raw_prompt"]``, the messages, which verl's trainers
    before v1 put there, and under v1 the reward manager of a run with a curriculum or a memory.
    """
    if not isinstance(extra_info, Mapping):
        return None
    question, messages = extra_info.get("question"), extra_info.get("raw_prompt")
    if not isinstance(question, str) or not question.strip():
        users = [m for m in (() if messages is None else messages) if m.get("role") == "user"]
        contents = [message.get("content") for message in users]
        question = "\n".join(content for content in contents if isinstance(content, str))
    return question if question.strip() else None


def unwrap(text: str) -> str | None:
    r"""Return an answer without the box, ``$``, ``**`` and full stop around it, or None."""
    if has_box(text):
        return only_box(text)
    text = STOP.sub("", text.strip())
    for opening, closing in WRAPPERS:
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
    spellings = {first.strip()}
    for count, other in enumerate(found):
        if other is None or count == MOST_BOXES or len(spellings) > SPELLINGS:
            return None
        spellings.add(other.strip())
    same = len(spellings) == 1 or len({canonical(text) for text in spellings}) == 1
    return unwrap(first) if same else None


def has_box(text: str) -> bool:
    """Whether a text begins a box, closed or not."""
    return "\\boxed" in text or "\\fbox" in text


def boxes(text: str, longest: int) -> Iterator[str | None]:
    r"""Yield the contents of all boxes, in order; None, and no more, at one that does not close.

    A box inside a box belongs to the outer one's content, of which `longest` characters are looked
    through; braces outside boxes are ignored; ``\\boxed`` is a line break and a word.
    """
    at = 0
    while found := BOX.search(text, at):
        before, begin = text[at : found.start()], found.end()
        if (len(before) - len(before.rstrip("\\"))) % 2:
            at = begin
        elif text.startswith("{", begin):
            end = closing_brace(text, begin + 1, longest)
            yield None if end is None else text[begin + 1 : end]
            if end is None:
                return
            at = end + 1
        else:
            bare = BARE.match(text, begin, begin + longest + 1)
            assert bare is not None
            yield bare.group().rstrip(".,;:") or None
            at = bare.end()


def closing_brace(text: str, begin: int, longest: int) -> int | None:
    """Return where the brace closes whose content begins at `begin`, or None if too far away."""
    depth = 1
    for match in BRACE.finditer(text, begin, begin + longest + 1):
        depth += {"{": 1, "}": -1}.get(match.group(), 0)
        if not depth:
            return match.start()
    return None


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


def has_tag(text: str, tag: str) -> bool:
    """Whether an opening or closing tag of this name stands anywhere in a text."""
    return f"<{tag}>" in text or f"</{tag}>" in text


def only_block(text: str, tag: str, opened: bool = False) -> Block | None:
    """Return the block of a tag, or None unless it opens once and closes once, in that order.

    Where the prompt may have `opened` the block, it may begin where the text does. Plain searches,
    no regular expression: the time is linear in the text whatever it holds.
    """
    opening, closing = f"<{tag}>", f"</{tag}>"
    begin, end = text.find(opening), text.find(closing)
    if begin < 0 and opened:
        begin, opening = 0, ""
    if begin < 0 or end < begin or text.count(opening or closing) > 1 or text.count(closing) > 1:
        return None
    return Block(begin, end + len(closing), text[begin + len(opening) : end])
