"""One episodic memory: a map from queries to the latest responses given to them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError
from sparft_plugin.memory.archive import Arrays, check_keys
from sparft_plugin.memory.vectors import cosines, unit_rows

# Float32 embeddings cannot tell directions apart below 1e-7, but parallel ones come out unequal at
# 1e-16; rounding in between keeps "ties go to the older query" exact.
COSINE_DECIMALS = 9


class EpisodicStore:
    """At most N queries, each with a ring of its last L response embeddings.

    https://arxiv.org/abs/2504.02273: memory M maps a query to its responses; B(M, q) is what is
    stored under the K queries nearest to q by cosine. A query's identity is its `prompt_id`, and
    the embedding it first came with is kept. When N is reached the query that was inserted first
    leaves, however lately it was written to; a query that returns after that counts as new.

    Responses of all queries lie in one growing block and each query keeps the block rows of its
    ring, so a rarely seen query costs only what it holds and nearest queries are one product.

    Parameters
    ----------
    query_capacity : int >= 1 or None
        Largest number N of queries; None = no limit.
    response_capacity : int >= 1
        Largest number L of responses per query.
    """

    def __init__(self, query_capacity: int | None, response_capacity: int) -> None:
        self.query_capacity = query_capacity
        self.response_capacity = response_capacity
        self._row_of: dict[str, int] = {}  # by age, the oldest first
        self._inserted = 0
        self._free: list[int] = []  # rows of the response block
        self._allocate(0)

    def _allocate(self, dimension: int) -> None:
        self._queries = np.zeros((0, dimension), np.float32)
        self._units = np.zeros((0, dimension), np.float64)
        self._age = np.zeros(0, np.int64)
        self._ring = np.zeros((0, self.response_capacity), np.int64)
        self._oldest = np.zeros(0, np.int64)
        self._held = np.zeros(0, np.int64)
        self._responses = np.zeros((0, dimension), np.float32)

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
        return int(self._held.sum())

    @property
    def nbytes(self) -> int:
        """Bytes that the stored queries and responses take; growing room is left out.

        So it is a function of the content alone, the same before and after a resume.
        """
        blocks = (self._queries, self._units, self._age, self._ring, self._oldest, self._held)
        responses = self.size * self._responses[:1].nbytes
        return sum(block[: len(self)].nbytes for block in blocks) + responses

    def write(
        self, prompt_id: str, query: NDArray[np.float32], responses: NDArray[np.float32]
    ) -> None:
        """Store responses of a query, the oldest first; no responses, no change.

        Parameters
        ----------
        prompt_id : str
        query : float32 (d,)
        responses : float32 (m, d)
        """
        capacity = self.response_capacity
        responses = responses[-capacity:]
        if not len(responses):
            return
        row = self._row_of.get(prompt_id)
        if row is None:
            row = self._insert(prompt_id, query)
        held, oldest = int(self._held[row]), int(self._oldest[row])
        places = (oldest + held + np.arange(len(responses))) % capacity
        fresh = min(capacity - held, len(responses))
        self._ring[row, places[:fresh]] = self._take(fresh)
        self._responses[self._ring[row, places]] = responses
        self._held[row] = held + fresh
        self._oldest[row] = (oldest + len(responses) - fresh) % capacity

    def nearest(self, query: NDArray[np.float32], k: int = 1) -> NDArray[np.float32]:
        """Return B(M, q) of one query (d,); see `nearest_each`."""
        return self.nearest_each(query[None], k)[0]

    def nearest_each(self, queries: NDArray[np.float32], k: int = 1) -> list[NDArray[np.float32]]:
        """Responses stored under the `k` queries nearest by cosine, exact; ties: the older first.

        Parameters
        ----------
        queries : float32 (n, d)
        k : int >= 1, default 1
            With fewer than `k` stored queries all are used.

        Returns
        -------
        list of n float32 (m, d)
            Nearest query first, the oldest response of each first; m = 0 if nothing is stored.
        """
        stored = len(self)
        if not stored:
            return [np.zeros((0, queries.shape[1]), np.float32) for _ in queries]
        table = cosines(unit_rows(queries), self._units[:stored]).round(COSINE_DECIMALS)
        found = []
        for cosine in table:
            rows = self._best(cosine, min(k, stored))
            places = np.concatenate([self._places(row) for row in rows])
            found.append(self._responses[places])
        return found

    def _best(self, cosine: NDArray[np.float64], k: int) -> NDArray[np.int64]:
        least = np.partition(cosine, len(cosine) - k)[len(cosine) - k]
        rows = np.flatnonzero(cosine >= least)
        best: NDArray[np.int64] = rows[np.lexsort((self._age[rows], -cosine[rows]))[:k]]
        return best

    def _places(self, row: int) -> NDArray[np.int64]:
        """Rows of the response block that a query holds, oldest response first."""
        turn = (self._oldest[row] + np.arange(self._held[row])) % self.response_capacity
        places: NDArray[np.int64] = self._ring[row, turn]
        return places

    def _insert(self, prompt_id: str, query: NDArray[np.float32]) -> int:
        if not self._inserted:
            self._allocate(len(query))
        row = len(self)
        if row == self.query_capacity:
            row = self._row_of.pop(next(iter(self._row_of)))
            self._free.extend(self._places(row).tolist())
        elif row == len(self._queries):
            self._grow_queries()
        self._row_of[prompt_id] = row
        self._queries[row] = query
        self._units[row] = unit_rows(query[None])[0]
        self._age[row] = self._inserted
        self._oldest[row] = self._held[row] = 0
        self._inserted += 1
        return row

    def _grow_queries(self) -> None:
        rows = max(16, 2 * len(self._queries))
        if self.query_capacity is not None:
            rows = min(rows, self.query_capacity)
        self._queries = _lengthen(self._queries, rows)
        self._units = _lengthen(self._units, rows)
        self._age = _lengthen(self._age, rows)
        self._ring = _lengthen(self._ring, rows)
        self._oldest = _lengthen(self._oldest, rows)
        self._held = _lengthen(self._held, rows)

    def _take(self, count: int) -> list[int]:
        """Hand out rows of the response block that nobody holds."""
        missing = count - len(self._free)
        if missing > 0:
            rows = len(self._responses)
            grown = max(64, 2 * rows, rows + missing)
            self._responses = _lengthen(self._responses, grown)
            self._free.extend(range(grown - 1, rows - 1, -1))
        return [self._free.pop() for _ in range(count)]

    def arrays(self) -> Arrays:
        """Return the content as arrays, queries and responses by age.

        Returns
        -------
        dict
            ``prompt_ids`` str (n,), ``queries`` float32 (n, d), ``counts`` int64 (n,) responses
            per query, ``responses`` float32 (sum of counts, d).
        """
        rows = np.array(list(self._row_of.values()), np.int64)
        places = [self._places(row) for row in rows]
        return {
            "prompt_ids": np.array(self.prompt_ids, dtype=np.str_),
            "queries": self._queries[rows],
            "counts": self._held[rows],
            "responses": self._responses[np.concatenate([np.zeros(0, np.int64), *places])],
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
        _check_arrays(arrays, dimension or 0)
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


def _lengthen(block: NDArray[Any], rows: int) -> NDArray[Any]:
    longer = np.zeros((rows, *block.shape[1:]), block.dtype)
    longer[: len(block)] = block
    return longer


def _check_arrays(arrays: Arrays, dimension: int) -> None:
    ids, counts = arrays["prompt_ids"], arrays["counts"]
    if ids.ndim != 1 or ids.dtype.kind != "U" or len(set(ids.tolist())) != len(ids):
        raise SparftError("prompt_ids of a saved episodic store must be unique strings.")
    if counts.shape != ids.shape or counts.dtype != np.int64 or (counts < 1).any():
        raise SparftError("counts of a saved episodic store must be one whole number per query.")
    for name, rows in (("queries", len(ids)), ("responses", int(counts.sum()))):
        block = arrays[name]
        if block.dtype != np.float32 or not np.isfinite(block).all():
            raise SparftError(f"{name} of a saved episodic store must be finite float32.")
        if block.ndim != 2 or len(block) != rows or (rows and block.shape[1] != dimension):
            raise SparftError(
                f"{name} of a saved episodic store must have shape {(rows, dimension)}, "
                f"not {block.shape}."
            )
