"""A reduction of vectors alone, in memory or in a file larger than memory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError
from sparft_plugin.prompts import digest
from sparft_plugin.reduction.config import ReductionConfig
from sparft_plugin.reduction.engines.base import Engine, Local
from sparft_plugin.reduction.keep import Candidates, keep
from sparft_plugin.reduction.manifest import build_manifest
from sparft_plugin.reduction.pipeline import check_size, warn_of_few
from sparft_plugin.reduction.result import Reduction
from sparft_plugin.reduction.selectors.base import check_needs
from sparft_plugin.reduction.timing import Timing
from sparft_plugin.reduction.vectors import Vectors, given_vectors


def from_embeddings(
    embeddings: NDArray[np.floating] | Path | str,
    config: ReductionConfig,
    *,
    ids: Sequence[str] | None = None,
    difficulties: NDArray[np.float64] | None = None,
    engine: Engine | None = None,
) -> Reduction:
    """Keep a few of many vectors, without texts: cluster, select, explain.

    A file is read block by block, three times at most; it is never in memory as a whole.

    Parameters
    ----------
    embeddings : ndarray of float, shape (n, d), or path of a ``.npy`` file of such
        Vectors of any norm above 0; they are scaled to norm 1.
    config : ReductionConfig
        Options; those about texts are not used.
    ids : sequence of str, optional
        n distinct names, which decide every tie; None names a row by the hash of its numbers, and
        equal rows count once.
    difficulties : ndarray of float64, shape (n,), optional
        In [0, 1], 0 = always solved; equal rows get the mean of theirs.
    engine : Engine, optional
        Where the sums and the assignment run; None is this process.

    Raises
    ------
    SparftError
        If a vector is zero or not finite, ids or difficulties do not fit, or there are fewer
        vectors than clusters.
    """
    timing = Timing()
    with timing("names"):
        total = _row_count(embeddings)
        vectors = given_vectors(embeddings, np.arange(total), total)
        names = _hashes(vectors) if ids is None else _checked(ids, total)
        _, first, same = np.unique(names, return_index=True, return_inverse=True)
    difficulty = None if difficulties is None else _means(_difficulty(difficulties, total), same)
    check_size(len(first), "the embeddings", config)
    warn_of_few(len(first), "the embeddings", config)
    selector = config.build_selector()
    check_needs(config.selector, selector, set() if difficulty is None else {"difficulties"})
    to = np.full(total, -1, dtype=np.int64)
    to[first] = np.arange(len(first))
    candidates = Candidates(
        ids=names[first].astype(str).tolist(),
        rows=first,
        vectors=vectors.moved(to, len(first)),
        difficulties=difficulty,
    )
    pool, choice = keep(candidates, selector, config, engine or Local(), timing)
    data = {
        "source": Path(embeddings).name if isinstance(embeddings, (str, Path)) else "embeddings",
        "fingerprint": digest("\n".join(candidates.ids)),
        "duplicates": total - len(first),
        "encoder": "given",
        "difficulty": None,
        "hygiene": None,
    }
    return Reduction.of(pool, build_manifest(data, config, pool, (), choice), timing.seconds)


def _row_count(embeddings: NDArray[np.floating] | Path | str) -> int:
    if not isinstance(embeddings, (str, Path)):
        return len(embeddings)
    try:
        return len(np.load(embeddings, mmap_mode="r", allow_pickle=False))
    except FileNotFoundError as error:
        raise SparftError(f"{embeddings} does not exist; check the path.") from error
    except (OSError, ValueError, TypeError) as error:
        raise SparftError(f"{embeddings} is no .npy file of numbers: {error}") from error


def _hashes(vectors: Vectors) -> NDArray[np.bytes_]:
    """Name every vector by 128-bit BLAKE2b of its numbers, shape (n,)."""
    names = np.empty(len(vectors), dtype="S32")
    for positions, block in vectors.blocks():
        for position, row in zip(positions.tolist(), block, strict=True):
            names[position] = hashlib.blake2b(row.tobytes(), digest_size=16).hexdigest().encode()
    return names


def _checked(ids: Sequence[str], total: int) -> NDArray[np.str_]:
    names = np.array(ids, dtype=str)
    if names.shape != (total,) or len(np.unique(names)) < total:
        raise SparftError(
            f"ids must be {total} distinct names, one for each vector; there are {len(names)}, "
            f"{len(np.unique(names))} of them distinct."
        )
    return names


def _difficulty(values: NDArray[np.float64], total: int) -> NDArray[np.float64]:
    found = np.asarray(values, dtype=np.float64)
    if found.shape != (total,) or not ((found >= 0) & (found <= 1)).all():
        raise SparftError(
            f"difficulties must be {total} numbers in [0, 1], one for each vector; map them first."
        )
    return found


def _means(values: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean of each group, in whatever order its values come."""
    order = np.lexsort((values, groups))
    sums = np.bincount(groups[order], values[order])
    means: NDArray[np.float64] = sums / np.bincount(groups)
    return means
