"""Embeddings on disk, found again by text and encoder, so that no text is encoded twice."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError
from sparft_plugin.reduction.atomic import whole_file
from sparft_plugin.reduction.vectors.base import Part, Vectors

logger = logging.getLogger(__name__)

KEY_BYTES = 16
SUFFIX, CORRUPT = ".vectors", ".corrupt"
SCRATCH = "sparft-"
"""How the name of a folder begins that a run needs only while it lasts."""
LIMIT = 20 * 2**30
"""Bytes of embeddings that stay on disk: 14 million vectors of 384 dimensions."""
WEEK = 7 * 24 * 3600


def text_key(text: str) -> bytes:
    """128-bit BLAKE2b of a text's UTF-8 bytes."""
    data = text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=KEY_BYTES).digest()


def write_shard(folder: Path, keys: Sequence[bytes], vectors: NDArray[np.float32]) -> str:
    """Write vectors under the keys of their texts, whole or not at all.

    A shard is two ``.npy`` arrays in one file, keys (m, 16) uint8 and vectors (m, width) float32,
    and is named by the BLAKE2b of its bytes.

    Returns
    -------
    str
        The name of the file in its folder.
    """
    content = io.BytesIO()
    np.save(content, np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(-1, KEY_BYTES))
    np.save(content, np.ascontiguousarray(vectors, dtype=np.float32))
    data = content.getbuffer()
    name = _digest(data) + SUFFIX
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / name) as temporary:
        temporary.write_bytes(data)
    return name


def read_shard(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float32]] | None:
    """Keys and vectors of a shard; None and a warning if its bytes are not as they were written."""
    data = path.read_bytes()
    if _digest(data) + SUFFIX != path.name:
        logger.warning("cached embeddings %s are corrupt; their texts are encoded again.", path)
        return None
    content = io.BytesIO(data)
    return np.load(content, allow_pickle=False), np.load(content, allow_pickle=False)


def _digest(data: bytes | memoryview) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


@dataclass(frozen=True, eq=False)
class ShardPart(Part):
    """Some vectors of one shard."""

    path: Path
    """The shard."""
    inside: NDArray[np.int64]
    """Rows of the shard, shape (b,)."""

    def load(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Read the shard, whose bytes were checked when it was found."""
        try:
            with self.path.open("rb") as file:
                np.load(file, allow_pickle=False)
                vectors = np.load(file, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise SparftError(f"{self.path} changed while it was in use; run again.") from error
        kept = self.positions >= 0
        return self.positions[kept], vectors[self.inside[kept]]


class EmbeddingCache:
    """The shards of one encoder in one folder.

    Opening reads the keys, 16 bytes a text; the bytes of a shard are checked once, when a text is
    found in it. A corrupt shard is reported, set aside and never used; the texts it held count as
    missing.

    Parameters
    ----------
    folder : Path
        Made when the first shard is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._keys: dict[str, NDArray[np.uint8]] = {}
        self._sound: set[str] = set()
        self.width: int | None = None
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            self.add(path.name)

    def add(self, name: str) -> None:
        """Take up a shard that another process wrote."""
        try:
            with (self.folder / name).open("rb") as file:
                keys = np.load(file, allow_pickle=False)
                np.lib.format.read_magic(file)  # type: ignore[no-untyped-call]
                header = np.lib.format.read_array_header_1_0(file)  # type: ignore[no-untyped-call]
        except FileNotFoundError:
            return
        except (ValueError, EOFError):
            self._is_sound(name)
            return
        self._keys[name], self.width = keys, int(header[0][1])

    def missing(self, keys: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Positions of the keys, shape (n, 16) uint8, that no sound shard holds."""
        while True:
            shard, names = self._find(keys)[0], list(self._keys)
            used = [names[number] for number in np.unique(shard[shard >= 0])]
            corrupt = [name for name in used if not self._is_sound(name)]
            if not corrupt:
                return np.flatnonzero(shard < 0)
            for name in corrupt:
                del self._keys[name]

    def _is_sound(self, name: str) -> bool:
        """Check a shard once, and set it aside if it is corrupt."""
        if name in self._sound:
            return True
        path = self.folder / name
        try:
            sound = read_shard(path) is not None
            if not sound:
                path.rename(path.with_suffix(CORRUPT))
        except FileNotFoundError:
            # Another process found it corrupt first, and set it aside.
            return False
        if sound:
            self._sound.add(name)
            _use(path)
        return sound

    def vectors(self, keys: NDArray[np.uint8]) -> Vectors:
        """Vectors of keys that all are there, shape (n, 16) uint8, repeats allowed.

        Raises
        ------
        SparftError
            If a key is not there.
        """
        shard, inside = self._find(keys)
        if (shard < 0).any():
            raise SparftError(f"{self.folder} lost embeddings while it was in use; run again.")
        order = np.argsort(shard, kind="stable")
        bounds = np.searchsorted(shard[order], np.arange(len(self._keys) + 1))
        parts: list[Part] = []
        for number, name in enumerate(self._keys):
            here = order[bounds[number] : bounds[number + 1]]
            if len(here):
                parts.append(ShardPart(here, self.folder / name, inside[here]))
                _use(self.folder / name)
        return Vectors(parts, len(keys), self.width or 0)

    def _find(self, keys: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Shard and row in it of each key; -1 where there is none."""
        shard = np.full(len(keys), -1, dtype=np.int64)
        inside = np.full(len(keys), -1, dtype=np.int64)
        if not self._keys or not len(keys):
            return shard, inside
        known = np.concatenate(list(self._keys.values()))
        sizes = [len(part) for part in self._keys.values()]
        high, low = _halves(known)
        order = np.argsort(high, kind="stable")
        wanted_high, wanted_low = _halves(keys)
        at = np.minimum(np.searchsorted(high[order], wanted_high), len(known) - 1)
        row = order[at]
        found = np.flatnonzero((high[row] == wanted_high) & (low[row] == wanted_low))
        shard[found] = np.repeat(np.arange(len(sizes)), sizes)[row[found]]
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        inside[found] = row[found] - starts[shard[found]]
        return shard, inside


def _use(path: Path) -> None:
    """Note the time: what was used last goes last."""
    # Another user's file tells nothing of us.
    with suppress(OSError):
        os.utime(path)


def prune(root: Path, limit: int = LIMIT) -> None:
    """Remove what killed runs left and, above a limit, the shards that were not used for longest.

    Nothing goes that was written or used in the last week, so no run loses what it works with.

    Parameters
    ----------
    root : Path
        The cache, with a folder for each encoder.
    limit : int
        Bytes of shards that may stay.
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


def _halves(keys: NDArray[np.uint8]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    words = np.ascontiguousarray(keys).view("<u8")
    return words[:, 0], words[:, 1]
