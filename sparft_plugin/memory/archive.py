"""A memory's state as data: one JSON header, and arrays as their bytes lie in memory."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sparft_plugin.errors import SparftError, require

Arrays = dict[str, NDArray[Any]]
State = dict[str, Any]
"""``header``, JSON text, and every array as uint8 (bytes,) under its name."""

HEADER = "header"
ARRAYS = "arrays"
FINGERPRINT = "fingerprint"
MEND = "restore it from an intact checkpoint"
BLOCK_BYTES = 256 << 20
"""Size of a block of responses; the system gives memory only to what was written of it."""
_UNREADABLE = (AttributeError, EOFError, KeyError, OSError, RuntimeError, TypeError, ValueError)
_BROKEN_NPZ = (struct.error, zipfile.BadZipFile, zlib.error)


def block_rows(width: int, dtype: np.dtype[Any]) -> int:
    """Embeddings (width,) in a block, at least 1."""
    return max(1, BLOCK_BYTES // max(1, width * dtype.itemsize))


def pack(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> State:
    """Put a header and arrays together; contiguous arrays are not copied.

    The header gets two keys more: ``arrays``, type and shape of each, and ``fingerprint``, which
    `unpack` checks. So equal headers mean equal states. Python objects are a ValueError.
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

    If the header is none, or the arrays are not those that it names, it is a SparftError.
    """
    plain = {name: array for name, array in state.items() if name != HEADER}
    try:
        header = json.loads(state[HEADER])
        types, told = header.pop(ARRAYS), header.pop(FINGERPRINT)
        check_keys("the memory state", plain, types)
        _check_fingerprint(told, _fingerprint(types, plain))
        return header, {k: plain[k].view(np.dtype(t)).reshape(s) for k, (t, s) in types.items()}
    except _UNREADABLE as error:
        raise _unreadable(error) from error


def unpack_version2(data: bytes) -> tuple[dict[str, Any], Arrays]:
    """As `unpack`, of the npz bytes of release 0.1.0, which had responses by age of their query."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays: Arrays = dict(archive)
        header = json.loads(arrays.pop(HEADER).tobytes())
        told = header.pop(FINGERPRINT)
    except (*_UNREADABLE, *_BROKEN_NPZ) as error:
        raise _unreadable(error) from error
    digest = hashlib.blake2b(digest_size=16)
    for name, array in sorted(arrays.items()):
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    _check_fingerprint(told, digest.hexdigest())
    if header.get("version") == 2:
        header["version"] = 3
    for term in [name.removesuffix("queries") for name in arrays if name.endswith("queries")]:
        responses = arrays.pop(f"{term}responses")
        arrays[f"{term}ages"] = np.arange(len(arrays[f"{term}counts"]))
        arrays[f"{term}rows"] = np.arange(len(responses))
        arrays[f"{term}free"] = np.empty(0, np.int64)
        rows = block_rows(responses.shape[1], responses.dtype)
        for i, start in enumerate(range(0, max(1, len(responses)), rows)):
            arrays[f"{term}responses#{i}"] = responses[start : start + rows]
    return header, arrays


def _unreadable(error: Exception) -> SparftError:
    what = f"{type(error).__name__}: {error}"
    return SparftError(f"the memory state cannot be read ({what}); {MEND}.")


def _fingerprint(types: Mapping[str, Any], plain: Mapping[str, NDArray[np.uint8]]) -> str:
    """128-bit BLAKE2b of names, types, shapes and bytes of arrays, in hex."""
    whole = hashlib.blake2b(json.dumps(types, sort_keys=True).encode(), digest_size=16)
    with ThreadPoolExecutor() as pool:
        for part in pool.map(lambda name: hashlib.blake2b(plain[name].data), sorted(types)):
            whole.update(part.digest())
    return whole.hexdigest()


def _check_fingerprint(told: Any, found: str) -> None:
    fault = "the content of the memory state is not that of its fingerprint"
    require(told == found, f"{fault}; {MEND}.")


def check_keys(what: str, given: Iterable[str], expected: Iterable[str]) -> None:
    """Refuse missing and unknown keys of a saved state, by name.

    The parts of an array that is cut into ``NAME#0``, ``NAME#1`` and on count as ``NAME``.
    """
    given, expected = ({key.partition("#")[0] for key in keys} for keys in (given, expected))
    for fault, keys in (("lacks", expected - given), ("has unknown", given - expected)):
        listed = ", ".join(f"'{key}'" for key in sorted(keys))
        require(not keys, f"{what} {fault} {listed}; was it written by another release?")


def check_array(what: str, array: NDArray[Any], dtype: DTypeLike, *shape: int) -> None:
    """Refuse a saved array of another type or shape, or with numbers that are not finite."""
    fits = array.dtype == dtype and array.shape == shape and bool(np.isfinite(array).all())
    given = f"{array.dtype} of shape {array.shape}"
    require(fits, f"{what} must be finite {np.dtype(dtype)} of shape {shape}, not {given}.")


def check_ids(what: str, ids: NDArray[Any], counts: NDArray[Any]) -> list[str]:
    """Return saved ids; those that are no unique strings, or have no count >= 1, are refused."""
    unique = ids.ndim == 1 and ids.dtype.kind == "U" and len(set(ids.tolist())) == len(ids)
    require(unique, f"prompt_ids of {what} must be unique strings.")
    check_array(f"counts of {what}", counts, np.int64, len(ids))
    require(counts.min(initial=1) >= 1, f"counts of {what} must be at least 1.")
    return list(ids.tolist())
