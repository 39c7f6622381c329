"""Which members stand for their cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError
from sparft_plugin.reduction.selectors.base import Members, Selector


def members_of(arms: NDArray[np.int64], clusters: int) -> list[NDArray[np.int64]]:
    """Rows of each cluster, increasing."""
    order = np.argsort(arms, kind="stable")
    bounds = np.searchsorted(arms[order], np.arange(1, clusters))
    return np.split(order, bounds)


def choose(
    name: str,
    selector: Selector,
    members_at: Callable[[NDArray[np.int64]], Members],
    members: Sequence[NDArray[np.int64]],
    quotas: NDArray[np.int64],
    seed: int,
) -> list[NDArray[np.int64]]:
    """Let a selector choose in every cluster; clusters run side by side.

    Parameters
    ----------
    name : str
        Registered name of the selector, for errors.
    selector : Selector
        The rule.
    members_at : callable
        What a selector sees of some rows of the pool.
    members : sequence of ndarray of int64
        Rows of each cluster.
    quotas : ndarray of int64, shape (K,)
        Prompts that each cluster gives.
    seed : int
        Each cluster draws from a generator of (seed, arm).

    Returns
    -------
    list of ndarray of int64
        Chosen rows of the pool, one array per cluster, in the order they were chosen.

    Raises
    ------
    SparftError
        If the selector breaks its contract.
    """

    def one(arm: int) -> NDArray[np.int64]:
        rows, quota = members[arm], int(quotas[arm])
        if not quota:
            return rows[:0]
        chosen = np.asarray(
            selector.select(members_at(rows), quota, np.random.default_rng((seed, arm)))
        )
        if not _is_choice(chosen, quota, len(rows)):
            raise SparftError(
                f"the selector '{name}' must choose {quota} distinct rows of {len(rows)} but gave "
                f"{chosen.tolist()}; mend or replace that plugin."
            )
        return rows[chosen]

    with ThreadPoolExecutor() as threads:
        return list(threads.map(one, range(len(members))))


def _is_choice(chosen: NDArray[np.int64], quota: int, members: int) -> bool:
    return (
        chosen.shape == (quota,)
        and np.issubdtype(chosen.dtype, np.integer)
        and len(set(chosen.tolist())) == quota
        and bool(((chosen >= 0) & (chosen < members)).all())
    )
