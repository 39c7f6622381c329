"""Memory-R's reward on GSM8K: correctness, format and integer answer."""

from __future__ import annotations

import re
from typing import Any

from sparft_plugin.options import check_number
from sparft_plugin.rewards import exact
from sparft_plugin.rewards.api import reward_function
from sparft_plugin.rewards.extract import REASONING, Block, extract_answer, has_tag, only_block

# [0-9], not \d: \d and str.isdigit take digits of every script, and superscripts.
INTEGER = re.compile(r"[+-]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)")


@reward_function
def compute_score(
    data_source: Any,
    solution_str: str,
    ground_truth: Any,
    extra_info: Any = None,
    *,
    format_weight: float = 1.0,
    integer_weight: float = 0.5,
) -> dict[str, float]:
    """Score a response by accuracy + format_weight * format + integer_weight * integer.

    Memory-R, https://arxiv.org/abs/2504.02273, with the weights of its release: 1 for the right
    answer, 0.5 for each of the two formats, 0.5 for an integer. The release's reward per tag,
    worth 0.5 in all, is left out: the soft format wants the same tags. See ``api``; the parts are
    ``format``, 0, 0.5 or 1, and ``integer``, 0.0 or 1.0.

    Parameters
    ----------
    format_weight : float >= 0, default 1.0
        What the whole format is worth.
    integer_weight : float >= 0, default 0.5
        What an answer that is an integer is worth, right or not.
    """
    check_number("reward_kwargs.format_weight", format_weight, 0)
    check_number("reward_kwargs.integer_weight", integer_weight, 0)
    parts = exact.compute_score(data_source, solution_str, ground_truth, extra_info)
    layout, integer = format_rate(solution_str), float(is_integer(extract_answer(solution_str)))
    score = parts["acc"] + format_weight * layout + integer_weight * integer
    return {**parts, "score": score, "format": layout, "integer": integer}


def format_rate(response: str) -> float:
    r"""Rate a response: 0.5 for the soft format, 1 if it is the strict one too, else 0.

    Soft: one reasoning block and, after it, one answer block. Both hold something, each tag stands
    exactly once, ``<think>`` may stand for ``<reasoning>`` but not beside it, and may have been
    opened by the prompt, as chat templates do. Line breaks are allowed everywhere, as in the format
    that the prompt of Memory-R asks for; its released patterns stop at the first one.

    Strict: that and nothing else, every tag on a line of its own,
    ``<reasoning>\n...\n</reasoning>\n<answer>\n...\n</answer>``; blank lines, trailing blanks and
    the kind of line break do not matter.
    """
    if (found := blocks(response)) is None:
        return 0.0
    reasoning, answer = found
    between = response[reasoning.end : answer.begin]
    around = response[: reasoning.begin] + between + response[answer.end :]
    opened = reasoning.begin == 0 and not response.startswith("<")
    lasts = [block.content.rpartition("\n") for block in found]
    firsts = [block.content.partition("\n")[0] for block in found[opened:]]
    strict = (
        not around.strip()
        and "\n" in between
        and all(line_break and not last.strip() for _, line_break, last in lasts)
        and not any(map(str.strip, firsts))
    )
    return 1.0 if strict else 0.5


def blocks(response: str) -> tuple[Block, Block] | None:
    """Return the reasoning and the answer block, or None if the response is not in the format."""
    tags = [tag for tag in REASONING if has_tag(response, tag)]
    reasoning = only_block(response, tags[0], tags[0] == "think") if len(tags) == 1 else None
    answer = only_block(response, "answer")
    if reasoning is None or answer is None or answer.begin < reasoning.end:
        return None
    return (reasoning, answer) if reasoning.content.strip() and answer.content.strip() else None


def is_integer(answer: str | None) -> bool:
    """Whether an answer is a whole number in ASCII digits, with or without thousands commas."""
    return answer is not None and INTEGER.fullmatch(answer) is not None
