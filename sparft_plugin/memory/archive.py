"""A memory's state as bytes: npz arrays and one JSON header, never pickle."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError

Arrays = dict[str, NDArray[Any]]

HEADER = "header"

_UNREADABLE = (
    ValueError,
    OSError,
    EOFError,
    KeyError,
    RuntimeError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def pack(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the npz bytes of the arrays, with the header as JSON text in the member ``header``.

    The same header and arrays give the same bytes.

    Raises
    ------
    ValueError
        If an array holds Python objects.
    """
    text = json.dumps(header, sort_keys=True).encode()
    members: Arrays = {HEADER: np.frombuffer(text, dtype=np.uint8), **arrays}
    buffer = io.BytesIO()
    # Not np.savez: in older releases it cannot be told to refuse, instead of pickle, objects.
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in members.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.save(member, array, allow_pickle=False)
    return buffer.getvalue()


def unpack(data: bytes) -> tuple[dict[str, Any], Arrays]:
    """Return the header and the arrays that `pack` stored.

    Raises
    ------
    SparftError
        If the bytes are damaged, hold pickled objects or have no header.
    """
    try:
        members = _members(data)
        header = json.loads(members.pop(HEADER).tobytes())
    except _UNREADABLE as error:
        raise SparftError(
            f"the memory state cannot be read ({type(error).__name__}: {error}); "
            "restore it from an intact checkpoint."
        ) from error
    if not isinstance(header, dict):
        raise SparftError("the header of the memory state is not a JSON object.")
    return header, members


def _members(data: bytes) -> Arrays:
    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise ValueError("not an npz archive")
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        members = {name: archive[name] for name in archive.files}
    for name, member in members.items():
        if not isinstance(member, np.ndarray):
            raise ValueError(f"member '{name}' is not an array")
    return members


def check_keys(what: str, given: Iterable[str], expected: Iterable[str]) -> None:
    """Refuse missing and unknown keys of a saved state.

    Raises
    ------
    SparftError
        Naming every key that is missing or unknown.
    """
    given, expected = set(given), set(expected)
    for fault, keys in (("lacks", expected - given), ("has unknown", given - expected)):
        if keys:
            listed = ", ".join(f"'{key}'" for key in sorted(keys))
            raise SparftError(f"{what} {fault} {listed}; was it written by another release?")
