"""State as data: strict keys, arrays as lists."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError

PACKED = 4096


def check_state(state: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Refuse a state of another method, other keys or another version than a curriculum's own.

    The keys of the parts ``by_arm``, ``by_prompt`` and ``rule`` are compared too.
    """
    method = own["method"]
    if state.get("method", method) != method:
        raise SparftError(
            f"the curriculum state was written by {state['method']}, the config asks for {method}; "
            "set sparft.curriculum back or start a new run."
        )
    check_keys("curriculum state", state, own)
    if "version" in own and state["version"] != own["version"]:
        raise SparftError(
            f"the curriculum state has version {state['version']}, this package reads "
            f"{own['version']}; resume with the version that wrote it."
        )
    for part in ("by_arm", "by_prompt", "rule"):
        check_keys(f"curriculum state '{part}'", state[part], own[part])


def check_keys(what: str, got: Mapping[str, Any], wanted: Iterable[str]) -> None:
    """Refuse missing and unknown keys by name."""
    missing, unknown = sorted(set(wanted) - set(got)), sorted(set(got) - set(wanted))
    if missing or unknown:
        raise SparftError(
            f"the {what} has missing keys {missing} and unknown keys {unknown}; it was written by "
            "another version of this package."
        )


def fill(array: NDArray[Any], saved: Any, to: NDArray[np.int64] | None = None) -> None:
    """Write what ``pack`` gave into an array, which holds its prior.

    ``to`` is the new place of each saved number, -1 if it has none; without it, numbers keep their
    places as far as there are any.
    """
    values = unpack(saved, array)[: None if to is not None else len(array)]
    to = np.arange(len(values)) if to is None else to
    array[to[to >= 0]] = values[to >= 0]


def pack(array: NDArray[Any]) -> list[Any] | str:
    """An array as JSON: a list, or from 4,096 numbers on its little-endian bytes in base64.

    NaN, which JSON lacks, is null in a list.
    """
    if array.size >= PACKED:
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        return base64.b64encode(little.tobytes()).decode("ascii")
    if array.dtype.kind == "f" and np.isnan(array).any():
        array = array.astype(object)
        array[array != array] = None
    values: list[Any] = array.tolist()
    return values


def unpack(saved: Sequence[Any] | str, like: NDArray[Any]) -> NDArray[Any]:
    """What ``pack`` gave, as an array of the type and the inner shape of another."""
    found: Any = saved
    if isinstance(saved, str):
        found = np.frombuffer(base64.b64decode(saved), dtype=like.dtype.newbyteorder("<"))
    return np.array(found, dtype=like.dtype).reshape(-1, *like.shape[1:])
