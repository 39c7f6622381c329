"""What the checks are written with: a condition, and the sentence that says what is wrong."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from typing import Any

from sparft_plugin.errors import SparftError


def expect(holds: bool, sentence: str) -> None:
    """Fail with a sentence unless something holds.

    Raises
    ------
    AssertionError
        If it does not.
    """
    if not holds:
        raise AssertionError(sentence)


def expect_refusal(action: Callable[[], Any], pattern: str, sentence: str) -> None:
    """Fail with a sentence unless an action raises a SparftError whose text has a pattern.

    Raises
    ------
    AssertionError
        If nothing is raised, or the text lacks the pattern.
    """
    try:
        action()
    except SparftError as error:
        if re.search(pattern, str(error)) is None:
            raise AssertionError(f"{sentence}; the error says: {error}") from error
        return
    raise AssertionError(f"{sentence}; nothing was raised.")


def expect_dataclass(made: Any, contract: type, name: str) -> None:
    """Fail unless an object is a dataclass of a contract.

    Raises
    ------
    AssertionError
        If it is not.
    """
    expect(isinstance(made, contract), f"{name} must derive {contract.__name__}.")
    expect(
        dataclasses.is_dataclass(made) and "__dataclass_fields__" in vars(type(made)),
        f"{name} must be a dataclass, so that its fields can be options.",
    )


def through_json(state: Any, name: str) -> Any:
    """Write a state as JSON and read it back.

    Raises
    ------
    AssertionError
        If it is not JSON, or has NaN or infinite numbers.
    """
    try:
        return json.loads(json.dumps(state, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise AssertionError(f"the state of {name} must be JSON without NaN: {error}") from error


def name_of(factory: Callable[..., Any]) -> str:
    """Name of a class or factory for a sentence."""
    return getattr(factory, "__name__", repr(factory))
