"""Range checks that name the option as the user wrote it: ``sparft.curriculum.<option>``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sparft_plugin.errors import SparftError


def check_whole(option: str, value: Any, least: int) -> None:
    """Refuse a value that is not a whole number >= `least`.

    Raises
    ------
    SparftError
        Naming the option and the value.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise _refusal(option, value, f"a whole number of at least {least}")


def check_number(
    option: str, value: Any, low: float, high: float = math.inf, *, open_low: bool = False
) -> None:
    """Refuse a value that is not a finite number in [`low`, `high`].

    Parameters
    ----------
    option : str
        Its name.
    value : object
        What was given.
    low, high : float
        The range; an infinite end is never reached.
    open_low : bool, default False
        Whether `low` itself is refused.

    Raises
    ------
    SparftError
        Naming the option and the value.
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    # A NaN fails the comparison, so it is refused with the rest.
    if number and math.isfinite(value) and low <= value <= high and not (open_low and value == low):
        return
    least = f"above {low:g}" if open_low else f"of at least {low:g}"
    most = "" if high == math.inf else f" and at most {high:g}"
    raise _refusal(option, value, f"a finite number {least}{most}")


def check_choice(option: str, value: Any, choices: Sequence[str]) -> None:
    """Refuse a value that is not one of `choices`.

    Raises
    ------
    SparftError
        Naming the option and the value.
    """
    if value not in choices:
        raise _refusal(option, value, f"one of {', '.join(choices)}")


def _refusal(option: str, value: Any, wanted: str) -> SparftError:
    return SparftError(f"sparft.curriculum.{option}={value!r} must be {wanted}.")
