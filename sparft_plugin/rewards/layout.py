"""Does a response stand in the format that was asked for: reasoning first, then the answer."""

from __future__ import annotations

from sparft_plugin.rewards.tags import Block, has_tag, only_block

REASONING = ("reasoning", "think")


def soft_format(response: str) -> bool:
    """Whether a response has one reasoning block and, after it, one answer block.

    Both hold something, each tag stands exactly once, ``<think>`` may stand for ``<reasoning>``
    but not beside it. Line breaks are allowed everywhere, as in the format that the prompt of
    Memory-R (https://arxiv.org/abs/2504.02273) asks for; its released patterns stop at the first
    one. Text around the blocks is allowed.
    """
    return blocks(response) is not None


def strict_format(response: str) -> bool:
    r"""Whether a response is the format and nothing else, every tag on a line of its own.

    ``<reasoning>\n...\n</reasoning>\n<answer>\n...\n</answer>``, then at most one line break.
    """
    found = blocks(response)
    if found is None:
        return False
    reasoning, answer = found
    own_lines = all(b.content[:1] == "\n" == b.content[-1:] for b in found)
    around = response[: reasoning.begin], response[reasoning.end : answer.begin]
    return own_lines and around == ("", "\n") and response[answer.end :] in ("", "\n")


def format_rate(response: str) -> float:
    """Half for the soft format, the other half for the strict one: 0, 0.5 or 1.

    The shares are those of Memory-R's release, which pays 0.5 for each.
    """
    return (soft_format(response) + strict_format(response)) / 2


def blocks(response: str) -> tuple[Block, Block] | None:
    """Return the reasoning and the answer block, or None if the response is not in the format."""
    tags = [tag for tag in REASONING if has_tag(response, tag)]
    reasoning = only_block(response, tags[0]) if len(tags) == 1 else None
    answer = only_block(response, "answer")
    if reasoning is None or answer is None or answer.begin < reasoning.end:
        return None
    return (reasoning, answer) if reasoning.content.strip() and answer.content.strip() else None
