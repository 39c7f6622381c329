"""Files of numbers that options name."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError


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
