"""Is an answer a whole number, written in digits."""

from __future__ import annotations

import re

# [0-9], not \d: \d and str.isdigit take digits of every script, and superscripts.
INTEGER = re.compile(r"[+-]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)")


def is_integer(answer: str | None) -> bool:
    """Whether an answer is a whole number in ASCII digits, with or without thousands commas.

    Memory-R's integer reward on GSM8K; its release takes superscripts for integers and refuses
    negative ones.
    """
    return answer is not None and INTEGER.fullmatch(answer) is not None
