"""Checks of option values; the name in their sentence is the one that the user wrote."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from sparft_plugin.errors import SparftError


def check_whole(name: str, value: Any, least: int, more: str = "") -> int:
    """Return an integer >= `least`; anything else is a SparftError, which `more` ends."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SparftError(f"{name} must be an integer >= {least}, not {value!r}{more}.")
    return value


def check_number(
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """Return a finite number in [`low`, `high`], open ends left out; else a SparftError."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    # A NaN fails every comparison, so it is refused with the rest.
    above = number and (value > low if open_low else value >= low)
    below = number and (value < high if open_high else value <= high)
    if above and below and math.isfinite(value):
        return float(value)
    least = "" if low == -math.inf else f" {'>' if open_low else '>='} {low:g}"
    most = "" if high == math.inf else f" and {'<' if open_high else '<='} {high:g}"
    raise SparftError(f"{name} must be a finite number{least}{most}, not {value!r}.")


def check_choice(name: str, value: Any, choices: Iterable[str]) -> None:
    """Refuse a value that is not one of `choices`."""
    choices = list(choices)
    if value not in choices:
        raise SparftError(f"{name} must be one of {', '.join(choices)}, not {value!r}.")
