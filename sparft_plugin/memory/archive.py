"""A memory's state as data: one JSON header, and arrays as their bytes lie in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError

Arrays = dict[str, NDArray[Any]]
State = dict[str, Any]
"""``header``, JSON text, and every array as uint8 (bytes,) under its name."""

HEADER = "header"
ARRAYS = "arrays"
FINGERPRINT = "fingerprint"
MEND = "restore it from an intact checkpoint"


def pack(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> State:
    """Put a header and arrays together; contiguous arrays are not copied.

    The header gets two keys more: ``arrays``, type and shape of each, and ``fingerprint``, which
    `unpack` checks. So equal headers mean equal states.

    Raises
    ------
    ValueError
        If an array holds Python objects.
    """
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise ValueError(f"Object arrays cannot be saved, and '{name}' is one")
    plain = {k: np.ascontiguousarray(a).reshape(-1).view(np.uint8) for k, a in arrays.items()}
    types = {name: [array.dtype.str, list(array.shape)] for name, array in arrays.items()}
    told = {**header, ARRAYS: types, FINGERPRINT: _fingerprint(types, plain)}
    return {HEADER: json.dumps(told, sort_keys=True), **plain}


def unpack(state: Mapping[str, Any]) -> tuple[dict[str, Any], Arrays]:
    """Return the header and the arrays that `pack` was given; arrays share the state's memory.

    Raises
    ------
    SparftError
        If the header is none, or the arrays are not those that it names.
    """
    plain = {name: array for name, array in state.items() if name != HEADER}
    try:
        header = json.loads(state[HEADER])
        types, told = header.pop(ARRAYS), header.pop(FINGERPRINT)
        check_keys("the memory state", plain, types)
        if told != _fingerprint(types, plain):
            raise SparftError(
                f"the content of the memory state is not that of its fingerprint; {MEND}."
            )
        return header, {k: plain[k].view(np.dtype(t)).reshape(s) for k, (t, s) in types.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SparftError(
            f"the memory state cannot be read ({type(error).__name__}: {error}); {MEND}."
        ) from error


def _fingerprint(types: Mapping[str, Any], plain: Mapping[str, NDArray[np.uint8]]) -> str:
    """128-bit BLAKE2b of names, types, shapes and bytes of arrays, in hex."""
    whole = hashlib.blake2b(json.dumps(types, sort_keys=True).encode(), digest_size=16)
    with ThreadPoolExecutor() as pool:
        for part in pool.map(lambda name: hashlib.blake2b(plain[name].data), sorted(types)):
            whole.update(part.digest())
    return whole.hexdigest()


def check_keys(what: str, given: Iterable[str], expected: Iterable[str]) -> None:
    """Refuse missing and unknown keys of a saved state.

    The parts of an array that is cut into ``NAME#0``, ``NAME#1`` and on count as ``NAME``: how many
    they are is a matter of its size.

    Raises
    ------
    SparftError
        Naming every key that is missing or unknown.
    """
    given, expected = ({key.partition("#")[0] for key in keys} for keys in (given, expected))
    for fault, keys in (("lacks", expected - given), ("has unknown", given - expected)):
        if keys:
            listed = ", ".join(f"'{key}'" for key in sorted(keys))
            raise SparftError(f"{what} {fault} {listed}; was it written by another release?")
