"""Options of methods on the command line: ``NAME=VALUE``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sparft_plugin.errors import SparftError


def named_values(option: str, given: Sequence[str]) -> dict[str, Any]:
    """Read values, which are JSON where they can be, else text: ``group=4``, ``device=cuda:1``.

    Parameters
    ----------
    option : str
        The option they were given by, for messages.
    given : sequence of str
        What stood after it, each time.

    Raises
    ------
    SparftError
        Naming what is not NAME=VALUE.
    """
    found: dict[str, Any] = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise SparftError(f"{option} {text!r} must be NAME=VALUE.")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found
