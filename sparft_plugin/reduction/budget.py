"""How many prompts are kept, of which cluster: by count, by share or by tokens."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError

_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*(%|tokens?)?")


class Budget(NamedTuple):
    """What may be kept in all."""

    amount: float
    """A number of prompts or tokens, or a share in (0, 1]."""
    unit: str
    """``prompts``, ``share`` or ``tokens``."""

    def prompts(self, pool: int) -> int:
        """Prompts that a pool gives at most; a budget of tokens sets no such limit."""
        if self.unit == "share":
            return max(1, round(self.amount * pool))
        return pool if self.unit == "tokens" else min(pool, int(self.amount))


def parse_budget(text: int | str) -> Budget:
    """Read ``500``, ``2%`` or ``50000 tokens``; anything else is a SparftError."""
    found = _FORM.fullmatch(str(text).strip()) if not isinstance(text, bool) else None
    if found is None:
        raise SparftError(f"budget must be like 500, 2% or '50000 tokens', not {text!r}.")
    amount, unit = float(found[1]), found[2]
    if unit == "%" and 0 < amount <= 100:
        return Budget(amount / 100, "share")
    if unit != "%" and amount >= 1 and amount.is_integer():
        return Budget(amount, "tokens" if unit else "prompts")
    raise SparftError(f"budget must be at least 1, or a share above 0 up to 100%, not {text!r}.")


def allocate(sizes: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """Decide how many of ``total`` prompts each cluster of some size gives: equal shares.

    What does not divide goes to the lowest arms, one each; they are the largest. What small
    clusters cannot give is taken, one at a time, from the cluster with most members left (the
    lowest arm of equal ones). If there are fewer than ``total`` members, all are given.
    """
    shares = total // len(sizes) + (np.arange(len(sizes)) < total % len(sizes))
    quotas: NDArray[np.int64] = np.minimum(sizes, shares)
    missing = min(total, int(sizes.sum())) - int(quotas.sum())
    left = sizes - quotas
    # Taking one at a time from the largest lowers the largest to a common level, the lowest one.
    level = bisect_left(
        range(int(left.max(initial=0))), -missing, key=lambda cut: -np.maximum(left - cut, 0).sum()
    )
    taken = np.maximum(left - level, 0)
    quotas += taken
    quotas[np.flatnonzero(left >= level)[: missing - int(taken.sum())]] += 1
    return quotas


def most_prompts(tokens: NDArray[np.int64], limit: int) -> int:
    """Most prompts that a number of tokens can pay for, the shortest ones; one at least."""
    most = int(np.searchsorted(np.cumsum(np.sort(tokens)), limit, side="right"))
    if not most:
        raise SparftError(
            f"a budget of {limit} tokens is too small for a prompt; the shortest has "
            f"{int(tokens.min())}, raise the budget."
        )
    return most


def fit_tokens(
    choose: Callable[[int], Sequence[NDArray[np.int64]]],
    tokens: NDArray[np.int64],
    limit: int,
    most: int,
) -> int:
    """Find by bisection how many prompts a number of tokens allows.

    ``choose`` gives the rows of each arm that are kept if a number of prompts is, up to ``most``.
    """

    def cost(total: int) -> int:
        return sum(int(tokens[rows].sum()) for rows in choose(total))

    return most - bisect_left(range(most, 1, -1), -limit, key=lambda total: -cost(total))
