"""One episodic memory: a map from queries to the latest responses given to them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError
from sparft_plugin.memory.archive import Arrays, check_keys
from sparft_plugin.memory.index import QueryIndex
from sparft_plugin.memory.ring import Ring

STORAGES = ("float32", "float16")


class EpisodicStore:
    """At most N queries, each with a ring of its last L response embeddings.

    https://arxiv.org/abs/2504.02273: memory M maps a query to its responses; B(M, q) is what is
    stored under the K queries nearest to q by cosine. A query's identity is its `prompt_id`, and
    the embedding it first came with is kept. When N is reached the query that was inserted first
    leaves, however lately it was written to; a query that returns after that counts as new.

    Parameters
    ----------
    query_capacity : int >= 1 or None
        Largest number N of queries; None = no limit.
    response_capacity : int >= 1
        Largest number L of responses per query.
    storage : {"float32", "float16"}
        Precision of the stored responses. Half precision halves the memory and rounds a
        coordinate by at most 1 part in 2048; queries stay in single precision.
    """

    def __init__(
        self, query_capacity: int | None, response_capacity: int, storage: str = "float32"
    ) -> None:
        self.query_capacity = query_capacity
        self.response_capacity = response_capacity
        self.dtype = np.dtype(storage)
        self.inserted = 0
        self._row_of: dict[str, int] = {}  # by age, the oldest first
        self._rings: list[Ring] = []  # by row of the index
        self._index = QueryIndex()

    def __len__(self) -> int:
        """Return the number of stored queries."""
        return len(self._row_of)

    @property
    def prompt_ids(self) -> list[str]:
        """Ids of the stored queries, oldest first."""
        return list(self._row_of)

    @property
    def size(self) -> int:
        """Number of stored responses."""
        return sum(ring.held for ring in self._rings)

    @property
    def nbytes(self) -> int:
        """Bytes of the stored queries and responses: a function of the content alone."""
        response_bytes = self._index.vectors.shape[1] * self.dtype.itemsize
        return len(self) * self._index.row_bytes + self.size * response_bytes

    def write(
        self, prompt_id: str, query: NDArray[np.float32], responses: NDArray[np.float32]
    ) -> None:
        """Store responses of a query, the oldest first; no responses, no change.

        Parameters
        ----------
        prompt_id : str
        query : float32 (d,)
        responses : float32 (m, d)
            They must fit into the precision of the store, see `check_fits`.
        """
        if not len(responses):
            return
        row = self._row_of.get(prompt_id)
        if row is None:
            row = self._insert(prompt_id, query)
        self._rings[row].write(responses.astype(self.dtype, copy=False))

    def _insert(self, prompt_id: str, query: NDArray[np.float32]) -> int:
        row = len(self)
        ring = Ring(self.response_capacity, len(query), self.dtype)
        if row == self.query_capacity:
            row = self._row_of.pop(next(iter(self._row_of)))
            self._rings[row] = ring
        else:
            self._rings.append(ring)
        self._index.put(row, query, self.inserted)
        self._row_of[prompt_id] = row
        self.inserted += 1
        return row

    def nearest(self, query: NDArray[np.float32], k: int = 1) -> NDArray[Any]:
        """Return B(M, q) of one query (d,); see `nearest_each`."""
        return next(self.nearest_each(query[None], k))

    def nearest_each(self, queries: NDArray[np.float32], k: int = 1) -> Iterator[NDArray[Any]]:
        """Responses stored under the `k` queries nearest by cosine, exact; ties: the older first.

        Parameters
        ----------
        queries : float32 (n, d)
        k : int >= 1, default 1
            With fewer than `k` stored queries all are used.

        Yields
        ------
        (m, d) in the precision of the store
            Nearest query first, the oldest response of each first; m = 0 if nothing is stored.
        """
        if not len(self):
            yield from (np.zeros((0, queries.shape[1]), self.dtype) for _ in queries)
            return
        yield from (self.read(rows) for rows in self.nearest_rows(queries, k))

    def nearest_rows(self, queries: NDArray[np.float32], k: int) -> list[NDArray[np.int64]]:
        """Rows of the `k` nearest queries of each query, for `read`, while nothing is inserted."""
        return self._index.nearest_each(queries, min(k, len(self)), len(self))

    def read(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Responses stored in one or more rows (m, d), one row after the other."""
        rings = [self._rings[row].read() for row in rows]
        return rings[0] if len(rings) == 1 else np.concatenate(rings)

    def fork(self) -> EpisodicStore:
        """Return a store that starts from this one's content; neither sees the other's writes."""
        forked = copy.copy(self)
        forked._row_of = dict(self._row_of)
        forked._rings = [ring.fork() for ring in self._rings]
        forked._index = self._index.fork()
        return forked

    def arrays(self) -> Arrays:
        """Return the content as arrays, queries and responses by age.

        Returns
        -------
        dict
            ``prompt_ids`` str (n,), ``queries`` float32 (n, d), ``counts`` int64 (n,) responses
            per query, ``responses`` (sum of counts, d) in the precision of the store.
        """
        rows = list(self._row_of.values())
        rings = [self._rings[row] for row in rows]
        nothing: NDArray[Any] = np.zeros((0, self._index.vectors.shape[1]), self.dtype)
        return {
            "prompt_ids": np.array(self.prompt_ids, dtype=np.str_),
            "queries": self._index.vectors[np.array(rows, np.int64)],
            "counts": np.array([ring.held for ring in rings], np.int64),
            "responses": np.concatenate([nothing, *(ring.read() for ring in rings)]),
        }

    def restore(self, arrays: Arrays, dimension: int | None) -> None:
        """Fill an empty store from `arrays`.

        Parameters
        ----------
        arrays : dict
            What `arrays` returned.
        dimension : int or None
            The length d that embeddings must have; None if nothing was ever stored.

        Raises
        ------
        SparftError
            If a key is missing or unknown, or the arrays do not fit each other, the dimension or
            the capacities.
        """
        check_keys("a saved episodic store", arrays, self.arrays())
        _check_arrays(arrays, dimension or 0, self.dtype)
        ids, counts = arrays["prompt_ids"].tolist(), arrays["counts"]
        if self.query_capacity is not None and len(ids) > self.query_capacity:
            raise SparftError(
                f"the saved memory holds {len(ids)} queries, more than "
                f"sparft.memory.query_capacity={self.query_capacity}."
            )
        if counts.max(initial=0) > self.response_capacity:
            raise SparftError(
                f"the saved memory holds {counts.max()} responses of one query, more than "
                f"sparft.memory.response_capacity={self.response_capacity}."
            )
        parts = np.split(arrays["responses"], np.cumsum(counts)[:-1]) if ids else []
        for prompt_id, query, responses in zip(ids, arrays["queries"], parts, strict=True):
            self.write(prompt_id, query, responses)


def check_fits(prompt_id: str, responses: NDArray[np.float32], storage: str) -> None:
    """Refuse responses that the precision of a store cannot hold.

    Raises
    ------
    SparftError
        If a coordinate is beyond the largest number of half precision, 65504.
    """
    with np.errstate(over="ignore"):
        if storage == "float16" and not np.isfinite(responses.astype(storage)).all():
            raise SparftError(
                f"the embedding of a response to prompt '{prompt_id}' is too large for half "
                "precision; set sparft.memory.storage=float32."
            )


def _check_arrays(arrays: Arrays, dimension: int, storage: np.dtype[Any]) -> None:
    ids, counts = arrays["prompt_ids"], arrays["counts"]
    if ids.ndim != 1 or ids.dtype.kind != "U" or len(set(ids.tolist())) != len(ids):
        raise SparftError("prompt_ids of a saved episodic store must be unique strings.")
    if counts.shape != ids.shape or counts.dtype != np.int64 or (counts < 1).any():
        raise SparftError("counts of a saved episodic store must be one whole number per query.")
    for name, rows, dtype in (
        ("queries", len(ids), np.dtype(np.float32)),
        ("responses", int(counts.sum()), storage),
    ):
        block = arrays[name]
        if block.dtype != dtype or not np.isfinite(block).all():
            raise SparftError(f"{name} of a saved episodic store must be finite {dtype}.")
        if block.ndim != 2 or len(block) != rows or (rows and block.shape[1] != dimension):
            raise SparftError(
                f"{name} of a saved episodic store must have shape {(rows, dimension)}, "
                f"not {block.shape}."
            )
