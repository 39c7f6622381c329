"""Options that declare their ranges, and files of numbers that options name."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import field, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError
from sparft_plugin.options import check_choice, check_number, check_whole


def number(
    default: Any,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> Any:
    """Field of a method: a finite number in a range, or None if that is the default."""
    ends = partial(check_number, low=low, high=high, open_low=open_low, open_high=open_high)
    return _checked(default, ends)


def whole(default: int | None, least: int, *, null: bool = False) -> Any:
    """Field of a method: an integer from ``least`` on, or None if that is the default or may be."""
    return _checked(default, partial(check_whole, least=least), null)


def choice(default: str, *others: str) -> Any:
    """Field of a method: one of some words."""
    return _checked(default, partial(check_choice, choices=(default, *others)))


def _checked(default: Any, check: Any, null: bool = False) -> Any:
    return field(default=default, metadata={"check": check, "null": null or default is None})


def check_options(owner: Any, section: str) -> None:
    """Refuse the first option of a dataclass that is out of its declared range, by its name."""
    for one in fields(owner):
        check, value = one.metadata.get("check"), getattr(owner, one.name, None)
        if check is not None and not (value is None and one.metadata["null"]):
            check(f"{section}.{one.name}", value)


def check_file(option: str, value: Any, mend: str) -> None:
    """Refuse a value that does not name a file; `mend` ends the sentence."""
    wanted = f"sparft.curriculum.{option}={value!r} must be"
    if not isinstance(value, (str, Path)) or not str(value):
        raise SparftError(f"{wanted} the path of a file of JSON lines; {mend}")
    if not Path(value).expanduser().is_file():
        raise SparftError(f"{wanted} a file, and there is none; {mend}")


def read_numbers(
    path: str | Path, names: Sequence[str], ids: NDArray[np.bytes_]
) -> NDArray[np.float64]:
    """Read k numbers of n prompts from lines ``{"id": ..., NAME: number, ...}``.

    Other keys are passed over, as are a header ``{"format": ...}`` in the first line, lines of
    prompts that were ``too_long`` and a last line that was cut off. A file that cannot be read, a
    broken line or a prompt that comes twice is refused.

    Returns
    -------
    ndarray of float64, shape (n, k)
        In the order of the ids, which are sorted; NaN for a prompt that the file does not know.
    """
    numbers = np.full((len(ids), len(names)), np.nan)
    places = {identity.decode(): place for place, identity in enumerate(ids.tolist())}
    try:
        with Path(path).expanduser().open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith("\n"):
                    break
                prompt, values = _read_line(path, number, line, names)
                if prompt not in places:
                    continue
                place = places[prompt]
                if not np.isnan(numbers[place, 0]):
                    raise SparftError(
                        f"{path} holds the prompt {prompt} twice; keep one line of each."
                    )
                numbers[place] = values
    except (OSError, UnicodeDecodeError) as error:
        raise SparftError(f"{path} cannot be read ({error}).") from error
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
