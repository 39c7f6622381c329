"""Embeddings on disk, found again by text and encoder, so that no text is encoded twice."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError
from sparft_plugin.reduction.atomic import whole_file
from sparft_plugin.reduction.vectors.base import Part, Vectors

logger = logging.getLogger(__name__)

KEY_BYTES = 16
SUFFIX = ".vectors"


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
        """Read the shard."""
        content = read_shard(self.path)
        if content is None:
            raise SparftError(f"{self.path} changed while it was in use; run again.")
        kept = self.positions >= 0
        return self.positions[kept], content[1][self.inside[kept]]


class EmbeddingCache:
    """The shards of one encoder in one folder.

    A corrupt shard is reported, set aside and never used; the texts it held count as missing.

    Parameters
    ----------
    folder : Path
        Made when the first shard is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shards: list[str] = []
        self._keys: list[NDArray[np.uint8]] = []
        self.width: int | None = None
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            self.add(path.name)

    def add(self, name: str) -> None:
        """Take up a shard that another process wrote."""
        path = self.folder / name
        try:
            content = read_shard(path)
            if content is None:
                path.rename(path.with_suffix(".corrupt"))
        except FileNotFoundError:
            # Another process found it corrupt first, and set it aside.
            return
        if content is None:
            return
        keys, vectors = content
        self._shards.append(name)
        self._keys.append(keys)
        self.width = vectors.shape[1]

    def missing(self, keys: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Positions of the keys, shape (n, 16) uint8, that no shard holds."""
        return np.flatnonzero(self._find(keys)[0] < 0)

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
        bounds = np.searchsorted(shard[order], np.arange(len(self._shards) + 1))
        parts: list[Part] = []
        for number, name in enumerate(self._shards):
            here = order[bounds[number] : bounds[number + 1]]
            if len(here):
                parts.append(ShardPart(here, self.folder / name, inside[here]))
        return Vectors(parts, len(keys), self.width or 0)

    def _find(self, keys: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Shard and row in it of each key; -1 where there is none."""
        shard = np.full(len(keys), -1, dtype=np.int64)
        inside = np.full(len(keys), -1, dtype=np.int64)
        if not self._keys or not len(keys):
            return shard, inside
        known = np.concatenate(self._keys)
        sizes = [len(part) for part in self._keys]
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


def _halves(keys: NDArray[np.uint8]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    words = np.ascontiguousarray(keys).view("<u8")
    return words[:, 0], words[:, 1]
