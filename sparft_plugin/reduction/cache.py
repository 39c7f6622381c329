"""Embeddings on disk, found again by text and encoder, so that no text is encoded twice."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.reduction.files import whole_file
from sparft_plugin.reduction.vectors import Vectors, forget, new_vectors

logger = logging.getLogger(__name__)

Keys = NDArray[np.bytes_]
"""128-bit BLAKE2b of texts, shape (n,), 16 bytes each."""

SUFFIX, CORRUPT = ".vectors", ".corrupt"
SCRATCH = "sparft-"
"""How the name of a folder begins that a run needs only while it lasts."""
LIMIT = 20 * 2**30
"""Bytes of embeddings that stay on disk: 14 million vectors of 384 dimensions."""
WEEK = 7 * 24 * 3600


def text_keys(texts: Iterable[str]) -> Keys:
    """Name every text by the hash of its UTF-8 bytes."""
    data = (text.encode("utf-8", "surrogatepass") for text in texts)
    # Padding with zeros, which numpy takes off again, keeps keys of 16 bytes apart.
    return np.array([hashlib.blake2b(each, digest_size=16).digest() for each in data], dtype="S16")


def write_shard(folder: Path, keys: Keys, vectors: Vectors) -> str:
    """Write vectors under the keys of their texts, whole or not at all; the name of the file.

    A shard is two ``.npy`` arrays, keys (m, 16) uint8 and vectors (m, width) float32, in one file
    that is named by the BLAKE2b of its bytes.
    """
    content = io.BytesIO()
    np.save(content, np.ascontiguousarray(keys).view(np.uint8).reshape(-1, 16))
    np.save(content, np.ascontiguousarray(vectors, dtype=np.float32))
    data = content.getbuffer()
    name = _digest(data) + SUFFIX
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / name) as temporary:
        temporary.write_bytes(data)
    return name


def _digest(data: bytes | memoryview) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


class EmbeddingCache:
    """The shards of one encoder in one folder, which is made when the first is written.

    Opening reads the keys, 16 bytes a text; the bytes of a shard are checked when vectors are taken
    from it. A corrupt one is reported, set aside and never used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._keys: dict[str, Keys] = {}
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            self.add(path.name)

    def add(self, name: str) -> None:
        """Take up a shard that another process wrote."""
        try:
            with (self.folder / name).open("rb") as file:
                self._keys[name] = np.load(file, allow_pickle=False).view("S16").reshape(-1)
        except FileNotFoundError:
            return
        except (ValueError, EOFError):
            self._read(name)

    def missing(self, keys: Keys) -> NDArray[np.int64]:
        """Positions of the different keys that no shard holds, the first of equal ones."""
        absent = np.flatnonzero(self._find(keys)[0] < 0)
        return absent[np.unique(keys[absent], return_index=True)[1]]

    def vectors(self, keys: Keys) -> Vectors | None:
        """Vectors of keys, in their order, repeats allowed; None if some are not there any more."""
        shard, inside = self._find(keys)
        if (shard < 0).any():
            return None
        names, found = list(self._keys), None
        for number in np.unique(shard).tolist():
            rows = self._read(names[number])
            if rows is None:
                return None
            found = new_vectors(len(keys), rows.shape[1]) if found is None else found
            here = np.flatnonzero(shard == number)
            found[here] = rows[inside[here]]
            forget(found)
        return found

    def _read(self, name: str) -> Vectors | None:
        """Vectors of a shard; None if it is gone, or corrupt and so set aside."""
        path = self.folder / name
        try:
            data = path.read_bytes()
            if _digest(data) + SUFFIX == name:
                # What was used last goes last. Another user's file tells nothing of us.
                with suppress(OSError):
                    os.utime(path)
                content = io.BytesIO(data)
                np.load(content, allow_pickle=False)  # the keys, which stand before them
                vectors: Vectors = np.load(content, allow_pickle=False)
                return vectors
            logger.warning("cached embeddings %s are corrupt; their texts are encoded again.", path)
            path.rename(path.with_suffix(CORRUPT))
        except FileNotFoundError:
            # Another process set it aside, or made room.
            pass
        self._keys.pop(name, None)
        return None

    def _find(self, keys: Keys) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Shard and row in it of each key; -1 where there is none."""
        if not self._keys or not len(keys):
            return np.full(len(keys), -1), np.full(len(keys), -1)
        known = np.concatenate(list(self._keys.values()))
        order = np.argsort(known, kind="stable")
        row = order[np.minimum(np.searchsorted(known[order], keys), len(known) - 1)]
        ends = np.cumsum([len(part) for part in self._keys.values()])
        shard = np.searchsorted(ends, row, side="right")
        inside = row - np.concatenate([[0], ends])[shard]
        there = known[row] == keys
        return np.where(there, shard, -1), np.where(there, inside, -1)


def prune(root: Path, limit: int = LIMIT) -> None:
    """Remove what killed runs left and, above a limit, the shards that were not used for longest.

    Nothing goes that was written or used in the last week, so no run loses what it works with.
    """
    oldest = time.time() - WEEK
    shards = []
    for pattern in (f"{SCRATCH}*", f"*/*{SUFFIX}*", f"*/*{CORRUPT}"):
        for path in root.glob(pattern):
            # Another process may prune at the same time, or another user own the file.
            with suppress(OSError):
                about = path.stat()
                if path.suffix == SUFFIX:
                    shards.append((about.st_mtime, about.st_size, path))
                elif about.st_mtime < oldest and path.is_dir():
                    shutil.rmtree(path)
                elif about.st_mtime < oldest:
                    path.unlink()
    total = sum(size for _, size, _ in shards)
    for used, size, path in sorted(shards):
        if total <= limit or used >= oldest:
            return
        with suppress(OSError):
            path.unlink()
            total -= size
