"""Numbers and prompt texts as a page shows them."""

from __future__ import annotations

import json
import math
import unicodedata
from typing import Any

UNKNOWN = "\u2013"
ELLIPSIS = "\u2026"
LINES = 12
# Marks that would turn the direction of whatever follows them.
_DIRECTION = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def shorten(text: str, limit: int, *, lines: bool = False) -> str:
    """Cut a prompt to a length that can be read, and to characters that can be shown.

    Control characters and direction marks are left out, halves of surrogate pairs become
    U+FFFD, and white space is collapsed.

    Parameters
    ----------
    text : str
        Any text; of a very long one only the beginning is touched.
    limit : int >= 1
        Most characters to return, the ellipsis of a shortened text among them.
    lines : bool, default False
        Keep line breaks, empty lines excepted; at most 12 lines.
    """
    start = "".join(map(_showable, text[: 4 * limit]))
    rows = [" ".join(row.split()) for row in start.split("\n")]
    rows = [row for row in rows if row]
    clean = "\n".join(rows[:LINES]) if lines else " ".join(rows)
    whole = len(text) <= 4 * limit and not (lines and len(rows) > LINES)
    if whole and len(clean) <= limit:
        return clean
    cut = clean[: limit - 1]
    if len(clean) < limit:
        return cut + ELLIPSIS
    space = max(cut.rfind(" "), cut.rfind("\n"))
    return (cut[:space] if space > limit // 2 else cut).rstrip() + ELLIPSIS


def _showable(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cs":
        return "\ufffd"
    if character in _DIRECTION or (category == "Cc" and not character.isspace()):
        return ""
    return character


def count(value: int | None) -> str:
    """Whole number with thousands apart: 7,473; a dash if unknown."""
    return UNKNOWN if value is None else f"{value:,}"


def share(part: float, whole: float) -> str:
    """Percentage with as many digits as tell something: 1.3 %, 0.04 %."""
    percent = 100 * part / whole if whole else 0.0
    digits = 0 if percent >= 10 or percent == 0 else 1 if percent >= 0.1 else 2
    return f"{percent:.{digits}f}\u00a0%"


def decimal(value: float | None, digits: int = 2) -> str:
    """Fixed-point number; a dash if unknown or not finite."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return f"{value:.{digits}f}"


def plain(value: Any) -> str:
    """Value of an option: text as it is, anything else as JSON."""
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return shorten(shown, 400)
