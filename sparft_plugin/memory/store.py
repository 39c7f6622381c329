"""One episodic memory: exact search among queries, and the latest responses given to each."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from sparft_plugin.errors import require
from sparft_plugin.memory.archive import Arrays, block_rows, check_array, check_ids, check_keys

STORAGES = ("float32", "float16")
# Cosines are compared after rounding. Float32 embeddings cannot tell directions apart below 1e-7,
# but parallel ones come out unequal at 1e-16: in between, "ties go to the older" is exact.
DECIMALS = 9
GROWTH = 1.25
WHAT = "a saved episodic store"


def unit_rows(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Scale every row (n, d) to length 1; a zero row stays zero, its cosine with anything is 0."""
    rows = vectors.astype(np.float64)
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    rows /= np.where(lengths > 0, lengths, 1.0)[:, None]
    return rows


def cosines(units: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosine (n, m) of every row (n, d) with every row (m, d) of others, both from `unit_rows`.

    One BLAS thread: the last bits do not depend on how many there are, and a second one gains
    little on idle cores and is waited for much longer where rollouts keep the cores busy.
    """
    with _blas().limit(limits=1, user_api="blas"):
        table: NDArray[np.float64] = units @ others.T
    return table


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


class QueryIndex:
    """A table of query embeddings (d,) that is searched by brute force, in double precision."""

    def __init__(self, dimension: int) -> None:
        self.vectors = np.zeros((0, dimension), np.float32)
        """The queries as they came, and space for more."""
        self.ages = np.zeros(0, np.int64)
        """Of two equally near queries the one with the lower number comes first."""
        self._units = np.zeros((0, dimension), np.float64)

    def put(self, row: int, vector: NDArray[np.float32], age: int) -> None:
        """Set the row of a query (d,); rows are taken into use one after the other."""
        if row == len(self.vectors):
            rows = max(16, int(GROWTH * row))
            self.vectors = _lengthen(self.vectors, rows)
            self._units = _lengthen(self._units, rows)
            self.ages = _lengthen(self.ages, rows)
        self.vectors[row] = vector
        self._units[row] = unit_rows(vector[None])[0]
        self.ages[row] = age

    def nearest(self, queries: NDArray[np.float32], k: int, rows: int) -> list[NDArray[np.int64]]:
        """Return, for each of n queries (n, d), the `k` nearest of the first `rows` rows.

        The nearest comes first, of equally near ones the oldest.
        """
        found = cosines(unit_rows(queries), self._units[:rows])
        kth = np.partition(found, rows - k, axis=1)[:, rows - k] if k > 1 else found.max(axis=1)
        return [self._best(row, least, k) for row, least in zip(found, kth, strict=True)]

    def _best(self, found: NDArray[np.float64], least: np.float64, k: int) -> NDArray[np.int64]:
        near = np.flatnonzero(found >= least - 2 * 10.0**-DECIMALS)
        order = np.lexsort((self.ages[near], -found[near].round(DECIMALS)))
        best: NDArray[np.int64] = near[order[:k]]
        return best


def _lengthen(table: NDArray[Any], rows: int) -> NDArray[Any]:
    return np.concatenate([table, np.zeros((rows - len(table), *table.shape[1:]), table.dtype)])


class RowTable:
    """Embeddings (d,) by number, in blocks that never move; numbers given back are taken again.

    Nothing is copied as it grows, and it is saved by its blocks as they lie: a save costs no
    second copy. Which numbers are taken next depends on the history of calls alone.
    """

    def __init__(self, width: int, dtype: np.dtype[Any]) -> None:
        self.width = width
        self.dtype = dtype
        self.free: list[int] = []
        """Numbers that were given back; the last one is taken first."""
        self._rows = block_rows(width, dtype)
        self._used = 0
        self._own = 0  # Rows before this one belong to the table that this is a fork of.
        self._blocks: list[NDArray[Any]] = []

    def write(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        """Store embeddings (m, d) and return their numbers, int64 (m,)."""
        again = [self.free.pop() for _ in range(min(len(rows), len(self.free)))]
        new = np.arange(self._used, self._used + len(rows) - len(again))
        self._used += len(new)
        while self._used > self._rows * len(self._blocks):
            self._blocks.append(np.zeros((self._rows, self.width), self.dtype))
        numbers: NDArray[np.int64] = np.concatenate([np.array(again, np.int64), new])
        for block, here, inside in self._by_block(numbers):
            block[inside] = rows[here]
        return numbers

    def give_back(self, numbers: NDArray[np.int64]) -> None:
        """Let these rows be overwritten, the first one first."""
        self.free += numbers[numbers >= self._own][::-1].tolist()

    def read(self, numbers: NDArray[np.int64]) -> NDArray[Any]:
        """Return a copy of one or more rows, (m, d)."""
        parts = [block.take(inside, axis=0) for block, _, inside in self._by_block(numbers)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _by_block(
        self, numbers: NDArray[np.int64]
    ) -> list[tuple[NDArray[Any], slice, NDArray[np.int64]]]:
        """Runs of numbers in one block: the block, their places here, and their rows in it."""
        of = numbers // self._rows
        ends = [*(np.flatnonzero(np.diff(of)) + 1).tolist(), len(numbers)]
        return [
            (self._blocks[of[a]], slice(a, b), numbers[a:b] - of[a] * self._rows)
            for a, b in pairwise([0, *ends])
            if a < b
        ]

    def parts(self) -> list[NDArray[Any]]:
        """Return one or more blocks without what was never taken; nothing is copied."""
        blocks = self._blocks or [np.zeros((0, self.width), self.dtype)]
        return [block[: self._used - i * self._rows] for i, block in enumerate(blocks)]

    def restore(self, parts: Sequence[NDArray[Any]], free: NDArray[np.int64]) -> None:
        """Fill an empty table with a copy of what `parts` and `free` were."""
        for i, part in enumerate(parts):
            rows = self._rows if i + 1 < len(parts) else min(self._rows, len(part))
            check_array(f"responses of {WHAT}", part, self.dtype, rows, self.width)
            self._blocks.append(np.zeros((self._rows, self.width), self.dtype))
            self._blocks[-1][: len(part)] = part
            self._used += len(part)
        self.free = free.tolist()

    def fork(self) -> RowTable:
        """Return a table that reads the same rows and writes blocks of its own."""
        forked = RowTable(self.width, self.dtype)
        forked._blocks = list(self._blocks)
        forked._used = forked._own = self._rows * len(self._blocks)
        return forked


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
        self._empty(0)

    def _empty(self, dimension: int) -> None:
        self._index, self._table = QueryIndex(dimension), RowTable(dimension, self.dtype)

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
        # A query is kept in single and in double precision, and with its age.
        d = self._table.width
        return len(self) * (4 * d + 8 * d + 8) + self.size * d * self.dtype.itemsize

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
            self._empty(len(query))
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

    def nearest(self, queries: NDArray[np.float32], k: int) -> list[NDArray[np.int64]]:
        """Rows of the `k` nearest, or all, for each query (n, d); good until one is inserted.

        The nearest comes first, of equally near ones the older. The store must not be empty.
        """
        return self._index.nearest(queries, min(k, len(self)), len(self))

    def read(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Responses (m, d) stored in one or more rows, one row after the other, the oldest first.

        Of the rows of `nearest` that is B(M, q).
        """
        return self._table.read(np.concatenate([self._held[row] for row in rows]))

    def fork(self) -> EpisodicStore:
        """Return a store of the same content, to be used until this one is written to.

        What is written to it is not seen here.
        """
        forked = copy.copy(self)
        forked._row_of, forked._held = dict(self._row_of), list(self._held)
        forked._index, forked._table = copy.deepcopy(self._index), self._table.fork()
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
        check_keys(WHAT, arrays, self.arrays())
        parts = [arrays[f"responses#{i}"] for i in range(sum("#" in name for name in arrays))]
        counts, ages, rows, free = (arrays[key] for key in ("counts", "ages", "rows", "free"))
        ids = check_ids(WHAT, arrays["prompt_ids"], counts)
        check_array(f"ages of {WHAT}", ages, np.int64, len(ids))
        differ = len(set(ages.tolist())) == len(ids) and ages.min(initial=0) >= 0
        require(differ, f"ages of {WHAT} must differ and be at least 0.")
        taken = np.concatenate([rows.reshape(-1), free.reshape(-1)])
        each = np.arange(sum(map(len, parts)))
        fits = taken.dtype == np.int64 and np.array_equal(np.sort(taken), each)
        require(
            fits and rows.shape == (counts.sum(),) and free.ndim == 1,
            f"rows and counts of {WHAT} must name each of its responses once.",
        )
        for number, held, option in (
            (len(ids), "queries", "query_capacity"),
            (counts.max(initial=0), "responses of one query", "response_capacity"),
        ):
            limit = getattr(self, option)
            more = f"{number} {held}, more than sparft.memory.{option}={limit}"
            require(limit is None or number <= limit, f"the saved memory holds {more}.")
        if not ids:
            return
        self._empty(dimension or 0)
        check_array(f"queries of {WHAT}", arrays["queries"], np.float32, len(ids), dimension or 0)
        self._table.restore(parts, free)
        self._held = np.split(rows.copy(), np.cumsum(counts)[:-1])
        for row, (query, age) in enumerate(zip(arrays["queries"], ages, strict=True)):
            self._index.put(row, query, int(age))
        self._row_of = {ids[row]: row for row in np.argsort(ages).tolist()}
        self.inserted = int(ages.max()) + 1


def check_fits(prompt_id: str, responses: NDArray[np.float32], storage: str) -> None:
    """Refuse responses that the precision of a store cannot hold: half has no more than 65504."""
    with np.errstate(over="ignore"):
        fits = storage == "float32" or np.isfinite(responses.astype(storage)).all()
    require(
        bool(fits),
        f"the embedding of a response to prompt '{prompt_id}' is too large for half precision; "
        "set sparft.memory.storage=float32.",
    )
