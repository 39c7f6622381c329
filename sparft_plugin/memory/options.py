"""Range checks that name the option as the user wrote it: ``sparft.memory.<option>``."""

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
        raise SparftError(
            f"sparft.memory.{option} must be a whole number of at least {least}, not {value!r}."
        )


def check_number(option: str, value: Any, below: float = math.inf) -> None:
    """Refuse a value that is not a number in [0, `below`).

    Raises
    ------
    SparftError
        Naming the option and the value.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < below:
        limit = "" if below == math.inf else f" and below {below:g}"
        raise SparftError(
            f"sparft.memory.{option} must be a finite number of at least 0{limit}, not {value!r}."
        )


def check_choice(option: str, value: Any, choices: Sequence[str]) -> None:
    """Refuse a value that is none of the choices.

    Raises
    ------
    SparftError
        Naming the option, the value and the choices.
    """
    if value not in choices:
        listed = " or ".join(repr(choice) for choice in choices)
        raise SparftError(f"sparft.memory.{option} must be {listed}, not {value!r}.")
