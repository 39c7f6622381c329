"""How many steps of reasoning a response marks as such."""

from __future__ import annotations

import re

ENOUGH = 3
"""Marked steps that earn everything."""

# One step a line, and the mark at its start: neither a number inside a sentence nor one word many
# times over counts. Bounded repeats keep the search linear.
MARK = re.compile(
    r"^[ \t]{0,8}(?:(?:\*\*|#{1,6} )?Step [0-9]{1,3}\b|[0-9]{1,3}[.)] |[-*] "
    r"|(?:First|Second|Third|Next|Then|Finally)\b)",
    re.MULTILINE,
)


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
