"""What the checks are written with: a method, a condition, and the sentence of what is wrong."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from sparft_plugin.errors import SparftError

Method = TypeVar("Method")


@dataclass(frozen=True)
class Checked(Generic[Method]):
    """A method under check: its class or a function that makes it, and its options."""

    factory: Callable[..., Method]
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How sentences call it."""
        return getattr(self.factory, "__name__", repr(self.factory))

    def make(self) -> Method:
        """Make it."""
        return self.factory(**self.options)


def expect(holds: bool, sentence: str) -> None:
    """Raise an AssertionError with a sentence unless something holds."""
    if not holds:
        raise AssertionError(sentence)


def expect_refusal(action: Callable[[], Any], pattern: str, sentence: str) -> None:
    """Expect that an action raises a SparftError whose text has a pattern."""
    try:
        action()
    except SparftError as error:
        if re.search(pattern, str(error)) is None:
            raise AssertionError(f"{sentence}; the error says: {error}") from error
        return
    raise AssertionError(f"{sentence}; nothing was raised.")


def expect_dataclass(made: Any, contract: type, name: str) -> None:
    """Expect an object to be a dataclass of a contract."""
    expect(isinstance(made, contract), f"{name} must derive {contract.__name__}.")
    expect(
        dataclasses.is_dataclass(made) and "__dataclass_fields__" in vars(type(made)),
        f"{name} must be a dataclass, so that its fields can be options.",
    )


def through_json(state: Any, name: str) -> Any:
    """Write a state as JSON, which it must be, and read it back."""
    try:
        return json.loads(json.dumps(state, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise AssertionError(f"the state of {name} must be JSON without NaN: {error}") from error


@contextmanager
def global_seed(seed: int) -> Iterator[Callable[[], bool]]:
    """Seed numpy's global generator for a while; the function given says whether nobody drew."""
    before = np.random.get_state()  # noqa: NPY002
    try:
        np.random.seed(seed)  # noqa: NPY002
        first = np.random.random()  # noqa: NPY002
        np.random.seed(seed)  # noqa: NPY002
        yield lambda: np.random.random() == first  # noqa: NPY002
    finally:
        np.random.set_state(before)  # noqa: NPY002
