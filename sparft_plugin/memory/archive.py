"""A memory's state as bytes: npz arrays and one JSON header, never pickle."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError

Arrays = dict[str, NDArray[Any]]

HEADER = "header"
FINGERPRINT = "fingerprint"

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

    The same header and arrays give the same bytes. The header gets a key more, ``fingerprint``: the
    BLAKE2b of the arrays, which `unpack` checks.

    Raises
    ------
    ValueError
        If an array holds Python objects.
    """
    buffer = io.BytesIO()
    pack_into(buffer, header, arrays)
    return buffer.getvalue()


def pack_into(
    file: IO[bytes], header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> None:
    """Write what `pack` returns into an open file.

    Raises
    ------
    ValueError
        If an array holds Python objects.
    """
    text = json.dumps({**header, FINGERPRINT: fingerprint(arrays)}, sort_keys=True).encode()
    members: Arrays = {HEADER: np.frombuffer(text, dtype=np.uint8), **arrays}
    # Not np.savez: in older releases it cannot be told to refuse, instead of pickle, objects.
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in members.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.save(member, array, allow_pickle=False)


def fingerprint(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the 128-bit BLAKE2b of names, types, shapes and bytes of arrays, in hex.

    Raises
    ------
    ValueError
        If an array holds Python objects.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(arrays):
        array = arrays[name]
        if array.dtype.hasobject:
            raise ValueError(f"Object arrays cannot be saved, and '{name}' is one")
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def unpack(data: bytes | IO[bytes]) -> tuple[dict[str, Any], Arrays]:
    """Return the header and the arrays that `pack` stored, from its bytes or an open file of them.

    Raises
    ------
    SparftError
        If the bytes are damaged, hold pickled objects, have no header, or the arrays are not those
        of the fingerprint.
    """
    try:
        members = _members(io.BytesIO(data) if isinstance(data, bytes) else data)
        header = json.loads(members.pop(HEADER).tobytes())
    except _UNREADABLE as error:
        raise SparftError(
            f"the memory state cannot be read ({type(error).__name__}: {error}); "
            "restore it from an intact checkpoint."
        ) from error
    if not isinstance(header, dict):
        raise SparftError("the header of the memory state is not a JSON object.")
    if header.pop(FINGERPRINT, None) != fingerprint(members):
        raise SparftError(
            "the content of the memory state is not that of its fingerprint; "
            "restore it from an intact checkpoint."
        )
    return header, members


def _members(file: IO[bytes]) -> Arrays:
    if not zipfile.is_zipfile(file):
        raise ValueError("not an npz archive")
    file.seek(0)
    with np.load(file, allow_pickle=False) as archive:
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
