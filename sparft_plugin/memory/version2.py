"""A memory as version 2 saved it: npz bytes, the responses by age of their queries."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
import zlib
from typing import Any

import numpy as np

from sparft_plugin.errors import SparftError
from sparft_plugin.memory.archive import FINGERPRINT, HEADER, MEND, Arrays
from sparft_plugin.memory.table import BLOCK

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


def read(data: bytes) -> tuple[dict[str, Any], Arrays]:
    """Return header and arrays as version 3 has them.

    Raises
    ------
    SparftError
        If the bytes are damaged, hold pickled objects, or are not those of their fingerprint.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(arrays.pop(HEADER).tobytes())
        told = header.pop(FINGERPRINT)
    except _UNREADABLE as error:
        raise SparftError(
            f"the memory state cannot be read ({type(error).__name__}: {error}); {MEND}."
        ) from error
    if told != _fingerprint(arrays):
        raise SparftError(
            f"the content of the memory state is not that of its fingerprint; {MEND}."
        )
    if header.get("version") == 2:
        header["version"] = 3
    for name in [name for name in arrays if name.endswith("queries")]:
        _add_rows(arrays, name.removesuffix("queries"))
    return header, arrays


def _add_rows(arrays: Arrays, term: str) -> None:
    """Cut the responses into blocks, and number them and their queries in the order they had."""
    responses = arrays.pop(f"{term}responses")
    arrays[f"{term}ages"] = np.arange(len(arrays[f"{term}counts"]))
    arrays[f"{term}rows"] = np.arange(len(responses))
    arrays[f"{term}free"] = np.empty(0, np.int64)
    for i, start in enumerate(range(0, max(1, len(responses)), BLOCK)):
        arrays[f"{term}responses#{i}"] = responses[start : start + BLOCK]


def _fingerprint(arrays: Arrays) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
