"""Numbers by prompt id, read from JSON lines that another model's run wrote."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError


def check_file(option: str, value: Any, mend: str) -> None:
    """Refuse an option that does not name a file.

    Raises
    ------
    SparftError
        Naming the option, the value and the mend.
    """
    name = f"sparft.curriculum.{option}={value!r}"
    if not isinstance(value, (str, Path)) or not str(value):
        raise SparftError(f"{name} must be the path of a file of JSON lines; {mend}")
    if not Path(value).expanduser().is_file():
        raise SparftError(f"{name} must be a file, and there is none; {mend}")


def read_numbers(
    path: str | Path, names: Sequence[str], ids: NDArray[np.bytes_]
) -> NDArray[np.float64]:
    """Read some numbers of some prompts.

    A line is ``{"id": ..., NAME: number, ...}``; other keys are passed over, as are a header
    ``{"format": ...}`` in the first line, lines of prompts that were ``too_long`` and a last line
    that was cut off.

    Parameters
    ----------
    path : path
        JSON lines.
    names : sequence of str
        k keys.
    ids : ndarray of bytes, shape (n,)
        Prompt ids, sorted.

    Returns
    -------
    ndarray of float64, shape (n, k)
        NaN for a prompt that the file does not know.

    Raises
    ------
    SparftError
        If the file cannot be read, a line is broken, or a prompt comes twice.
    """
    keys: list[bytes] = []
    found = array("d")
    try:
        with Path(path).expanduser().open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith("\n"):
                    break
                key, values = _read_line(path, number, line, names)
                if key is not None:
                    keys.append(key.encode())
                    found.extend(values)
    except (OSError, UnicodeDecodeError) as error:
        raise SparftError(f"{path} cannot be read ({error}).") from error
    numbers = np.full((len(ids), len(names)), np.nan)
    if not keys:
        return numbers
    known = np.array(keys)
    order = np.argsort(known, kind="stable")
    known = known[order]
    twice = np.flatnonzero(known[1:] == known[:-1])
    if len(twice):
        raise SparftError(
            f"{path} holds the prompt {known[twice[0]].decode()} twice; keep one line of each."
        )
    at = np.minimum(np.searchsorted(ids, known), len(ids) - 1)
    here = ids[at] == known
    numbers[at[here]] = np.array(found).reshape(-1, len(names))[order][here]
    return numbers


def _read_line(
    path: str | Path, number: int, line: str, names: Sequence[str]
) -> tuple[str | None, list[float]]:
    wanted = f"{path}, line {number} must be an object with 'id' and the numbers {list(names)}"
    try:
        record = json.loads(line)
        if (number == 1 and "format" in record) or "too_long" in record:
            return None, []
        key, values = record["id"], [float(record[name]) for name in names]
    except (ValueError, TypeError, KeyError) as error:
        raise SparftError(f"{wanted}; it is broken.") from error
    if not isinstance(key, str) or not all(map(math.isfinite, values)):
        raise SparftError(f"{wanted}; a number is not finite, or the id is no text.")
    return key, values
