"""Competition mathematics, as in AI-MO: an answer equal as mathematics, and marked steps."""

from __future__ import annotations

import re
from typing import Any

from sparft_plugin.options import check_number
from sparft_plugin.rewards import math_answer
from sparft_plugin.rewards.api import reward_function

ENOUGH = 3
"""Marked steps that earn everything."""
# One step a line, and the mark at its start: neither a number inside a sentence nor one word many
# times over counts. Bounded repeats keep the search linear.
MARK = re.compile(
    r"^[ \t]{0,8}(?:(?:\*\*|#{1,6} )?Step [0-9]{1,3}\b|[0-9]{1,3}[.)] |[-*] "
    r"|(?:First|Second|Third|Next|Then|Finally)\b)",
    re.MULTILINE,
)


@reward_function
def compute_score(
    data_source: Any,
    solution_str: str,
    ground_truth: Any,
    extra_info: Any = None,
    *,
    steps_weight: float = 0.5,
    seconds: float = math_answer.SECONDS,
) -> dict[str, float]:
    """Score a response by accuracy + steps_weight * marked steps.

    The pair that Memory-R (https://arxiv.org/abs/2504.02273) uses on AI-MO. See ``api``; the parts
    are ``overtime``, see ``math_answer``, and ``steps`` in [0, 1].

    Parameters
    ----------
    steps_weight : float >= 0, default 0.5
        What three marked steps are worth; less than an answer, so that steps alone never pay more
        than being right.
    seconds : float > 0, default 0.6
        See ``math_answer.compute_score``.
    """
    check_number("reward_kwargs.steps_weight", steps_weight, 0)
    parts = math_answer.compute_score(
        data_source, solution_str, ground_truth, extra_info, seconds=seconds
    )
    steps = steps_rate(solution_str)
    return {**parts, "score": parts["acc"] + steps_weight * steps, "steps": steps}


def steps_rate(response: str) -> float:
    """Share of ``ENOUGH`` marked steps that a response has, in [0, 1].

    Marks are "Step 1", "1.", "1)", a bullet, and "First", "Second", "Third", "Next", "Then" or
    "Finally" at the start of a line. Lines that are equal count once, so repeating one earns
    nothing.
    """
    lines: set[str] = set()
    for match in MARK.finditer(response):
        end = response.find("\n", match.start())
        lines.add(response[match.start() : end if end >= 0 else None].strip())
        if len(lines) == ENOUGH:
            return 1.0
    return len(lines) / ENOUGH
