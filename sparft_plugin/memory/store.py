"""One episodic memory: a map from queries to the latest responses given to them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import require
from sparft_plugin.memory.archive import Arrays, check_ids, check_keys
from sparft_plugin.memory.index import QueryIndex
from sparft_plugin.memory.table import RowTable

STORAGES = ("float32", "float16")


class EpisodicStore:
    """At most N queries, each with a ring of its last L response embeddings.

    https://arxiv.org/abs/2504.02273: memory M maps a query to its responses; B(M, q) is what is
    stored under the K queries nearest to q by cosine. A query's identity is its `prompt_id`, and
    the embedding it first came with is kept. When N is reached the query that was inserted first
    leaves, however lately it was written to; a query that returns after that counts as new.

    N is `query_capacity` (None: no limit) and L `response_capacity`, both at least 1. Responses are
    kept in the precision `storage`: float16 halves the memory and rounds a coordinate by at most 1
    part in 2048. Queries stay in single precision.
    """

    def __init__(
        self, query_capacity: int | None, response_capacity: int, storage: str = "float32"
    ) -> None:
        self.query_capacity = query_capacity
        self.response_capacity = response_capacity
        self.dtype = np.dtype(storage)
        self.inserted = 0
        self._row_of: dict[str, int] = {}  # by age, the oldest first
        self._held: list[NDArray[np.int64]] = []  # by row of the index, the oldest first
        self._index = QueryIndex()
        self._table = RowTable(0, self.dtype)

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
        return sum(map(len, self._held))

    @property
    def nbytes(self) -> int:
        """Bytes of the stored queries and responses: a function of the content alone."""
        response_bytes = self._index.vectors.shape[1] * self.dtype.itemsize
        return len(self) * self._index.row_bytes + self.size * response_bytes

    def write(
        self, prompt_id: str, query: NDArray[np.float32], responses: NDArray[np.float32]
    ) -> None:
        """Store responses (m, d) of a query (d,), the oldest first; no responses, no change.

        They must fit into the precision of the store, see `check_fits`.
        """
        if not len(responses):
            return
        row = self._row_of.get(prompt_id)
        if row is None:
            row = self._insert(prompt_id, query)
        fresh, held = responses[-self.response_capacity :], self._held[row]
        leaving = max(0, len(held) + len(fresh) - self.response_capacity)
        self._table.give_back(held[:leaving])
        self._held[row] = np.concatenate([held[leaving:], self._table.write(fresh)])

    def _insert(self, prompt_id: str, query: NDArray[np.float32]) -> int:
        row = len(self)
        if not row:
            self._table = RowTable(len(query), self.dtype)
        if row == self.query_capacity:
            row = self._row_of.pop(next(iter(self._row_of)))
            self._table.give_back(self._held[row])
            self._held[row] = np.empty(0, np.int64)
        else:
            self._held.append(np.empty(0, np.int64))
        self._index.put(row, query, self.inserted)
        self._row_of[prompt_id] = row
        self.inserted += 1
        return row

    def nearest(self, query: NDArray[np.float32], k: int = 1) -> NDArray[Any]:
        """Return B(M, q) of one query (d,); see `nearest_each`."""
        return next(self.nearest_each(query[None], k))

    def nearest_each(self, queries: NDArray[np.float32], k: int = 1) -> Iterator[NDArray[Any]]:
        """Yield, for each query (d,), the responses (m, d) stored under the `k` nearest, or all.

        The nearest query comes first, of equally near ones the older, and of each the oldest
        response; m = 0 if nothing is stored.
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
        return self._table.read(np.concatenate([self._held[row] for row in rows]))

    def fork(self) -> EpisodicStore:
        """Return a store of the same content, to be used until this one is written to.

        What is written to it is not seen here.
        """
        forked = copy.copy(self)
        forked._row_of = dict(self._row_of)
        forked._held = list(self._held)
        forked._index, forked._table = self._index.fork(), self._table.fork()
        return forked

    def arrays(self) -> Arrays:
        """Return the content as arrays; queries and responses share memory with this store.

        ``prompt_ids`` str (n,), ``queries`` float32 (n, d), ``ages`` int64 (n,), the lowest of the
        oldest, ``counts`` int64 (n,) responses per query, ``rows`` int64 (sum of counts,) their
        numbers in the table, ``free`` int64 (f,) numbers that nobody holds, and the blocks of the
        table ``responses#0``, ``responses#1`` and on.
        """
        n = len(self)
        by_row = np.argsort(np.array(list(self._row_of.values()), np.int64))
        return {
            "prompt_ids": np.array(self.prompt_ids, dtype=np.str_)[by_row],
            "queries": self._index.vectors[:n],
            "ages": self._index.ages[:n],
            "counts": np.array([len(held) for held in self._held], np.int64),
            "rows": np.concatenate([np.empty(0, np.int64), *self._held]),
            "free": np.array(self._table.free, np.int64),
            **{f"responses#{i}": part for i, part in enumerate(self._table.parts())},
        }

    def restore(self, arrays: Arrays, dimension: int | None) -> None:
        """Fill an empty store with a copy of what `arrays` returned.

        Raises
        ------
        SparftError
            If a key is missing or unknown, or the arrays do not fit each other, the length d of
            embeddings (None if nothing was ever stored) or the capacities.
        """
        check_keys("a saved episodic store", arrays, self.arrays())
        parts = [arrays[f"responses#{i}"] for i in range(sum("#" in name for name in arrays))]
        _check_arrays(arrays, dimension or 0, sum(map(len, parts)))
        ids, counts = arrays["prompt_ids"].tolist(), arrays["counts"]
        most = counts.max(initial=0)
        require(
            self.query_capacity is None or len(ids) <= self.query_capacity,
            f"the saved memory holds {len(ids)} queries, more than "
            f"sparft.memory.query_capacity={self.query_capacity}.",
        )
        require(
            most <= self.response_capacity,
            f"the saved memory holds {most} responses of one query, more than "
            f"sparft.memory.response_capacity={self.response_capacity}.",
        )
        if not ids:
            return
        self._table = RowTable(dimension or 0, self.dtype)
        self._table.restore(parts, arrays["free"])
        self._held = np.split(arrays["rows"].copy(), np.cumsum(counts)[:-1])
        for row, (query, age) in enumerate(zip(arrays["queries"], arrays["ages"], strict=True)):
            self._index.put(row, query, int(age))
        by_age = np.argsort(arrays["ages"]).tolist()
        self._row_of = {ids[row]: row for row in by_age}
        self.inserted = int(arrays["ages"].max()) + 1


def check_fits(prompt_id: str, responses: NDArray[np.float32], storage: str) -> None:
    """Refuse responses that the precision of a store cannot hold: half has no more than 65504."""
    with np.errstate(over="ignore"):
        fits = storage == "float32" or np.isfinite(responses.astype(storage)).all()
    require(
        bool(fits),
        f"the embedding of a response to prompt '{prompt_id}' is too large for half precision; "
        "set sparft.memory.storage=float32.",
    )


def _check_arrays(arrays: Arrays, dimension: int, responses: int) -> None:
    what = "a saved episodic store"
    ids, queries, rows = arrays["prompt_ids"], arrays["queries"], arrays["rows"]
    counts, ages, free = arrays["counts"], arrays["ages"], arrays["free"]
    check_ids(what, ids, counts=counts, ages=ages)
    require(len(set(ages.tolist())) == len(ids), f"ages of {what} must differ.")
    finite = queries.dtype == np.float32 and bool(np.isfinite(queries).all())
    require(finite, f"queries of {what} must be finite float32.")
    shape = (len(ids), dimension)
    require(
        queries.shape == shape or not len(ids),
        f"queries of {what} must have shape {shape}, not {queries.shape}.",
    )
    taken = np.concatenate([rows.reshape(-1), free.reshape(-1)])
    named_once = taken.dtype == np.int64 and np.array_equal(np.sort(taken), np.arange(responses))
    require(
        named_once and rows.shape == (counts.sum(),) and free.ndim == 1,
        f"rows and counts of {what} must name each of its responses once.",
    )
