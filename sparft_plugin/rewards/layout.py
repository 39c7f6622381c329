"""How a response is laid out: reasoning before answer, an integer as the answer, marked steps."""

from __future__ import annotations

import re

from sparft_plugin.rewards.extract import REASONING, Block, has_tag, only_block

ENOUGH = 3
"""Marked steps that earn everything."""

# [0-9], not \d: \d and str.isdigit take digits of every script, and superscripts.
INTEGER = re.compile(r"[+-]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)")
# One step a line, and the mark at its start: neither a number inside a sentence nor one word many
# times over counts. Bounded repeats keep the search linear.
MARK = re.compile(
    r"^[ \t]{0,8}(?:(?:\*\*|#{1,6} )?Step [0-9]{1,3}\b|[0-9]{1,3}[.)] |[-*] "
    r"|(?:First|Second|Third|Next|Then|Finally)\b)",
    re.MULTILINE,
)


def soft_format(response: str) -> bool:
    """Whether a response has one reasoning block and, after it, one answer block.

    Both hold something, each tag stands exactly once, ``<think>`` may stand for ``<reasoning>``
    but not beside it, and may have been opened by the prompt, as chat templates do. Line breaks are
    allowed everywhere, as in the format that the prompt of Memory-R
    (https://arxiv.org/abs/2504.02273) asks for; its released patterns stop at the first one. Text
    around the blocks is allowed.
    """
    return blocks(response) is not None


def strict_format(response: str) -> bool:
    r"""Whether a response is the format and nothing else, every tag on a line of its own.

    ``<reasoning>\n...\n</reasoning>\n<answer>\n...\n</answer>``; blank lines, trailing blanks and
    the kind of line break do not matter.
    """
    found = blocks(response)
    if found is None:
        return False
    reasoning, answer = found
    between = response[reasoning.end : answer.begin]
    around = response[: reasoning.begin] + between + response[answer.end :]
    opened = reasoning.begin == 0 and not response.startswith("<")
    edges = [reasoning.content.rpartition("\n"), answer.content.rpartition("\n")]
    return (
        not around.strip()
        and "\n" in between
        and all(line_break and not last.strip() for _, line_break, last in edges)
        and all(
            not block.content.partition("\n")[0].strip()
            for block in ((answer,) if opened else found)
        )
    )


def format_rate(response: str) -> float:
    """Half for the soft format, the other half for the strict one: 0, 0.5 or 1.

    The shares are those of Memory-R's release, which pays 0.5 for each.
    """
    return (soft_format(response) + strict_format(response)) / 2


def blocks(response: str) -> tuple[Block, Block] | None:
    """Return the reasoning and the answer block, or None if the response is not in the format."""
    tags = [tag for tag in REASONING if has_tag(response, tag)]
    reasoning = only_block(response, tags[0], tags[0] == "think") if len(tags) == 1 else None
    answer = only_block(response, "answer")
    if reasoning is None or answer is None or answer.begin < reasoning.end:
        return None
    return (reasoning, answer) if reasoning.content.strip() and answer.content.strip() else None


def is_integer(answer: str | None) -> bool:
    """Whether an answer is a whole number in ASCII digits, with or without thousands commas.

    Memory-R's integer reward on GSM8K; its release takes superscripts for integers and refuses
    negative ones.
    """
    return answer is not None and INTEGER.fullmatch(answer) is not None


def steps_rate(response: str) -> float:
    """Share of ``ENOUGH`` marked steps that a response has, in [0, 1].

    Marks are "Step 1", "1.", "1)", a bullet, and "First", "Second", "Third", "Next", "Then" or
    "Finally" at the start of a line. Lines that are equal count once, so repeating one earns
    nothing. The reward for reasoning steps that Memory-R (https://arxiv.org/abs/2504.02273) uses
    on AI-MO.
    """
    lines: set[str] = set()
    for match in MARK.finditer(response):
        end = response.find("\n", match.start())
        lines.add(response[match.start() : end if end >= 0 else None].strip())
        if len(lines) == ENOUGH:
            return 1.0
    return len(lines) / ENOUGH
