"""The selector contract: what a selector sees of a cluster, and what it must give back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Set
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError, unknown_name

MENDS = {
    "difficulties": "a difficulty for every prompt; add --difficulty column:NAME, "
    "--difficulty solved:FILE or --difficulty rollouts:DIR.",
    "curves": "the rewards of a logged run; add --difficulty rollouts:DIR.",
}
"""What a selector may need beside features, and how a user gives it."""


@dataclass(frozen=True, eq=False)
class Members:
    """The prompts of one cluster, rows in the order of their sorted ids."""

    features: NDArray[np.float64]
    """Position of each member in the space that was clustered, shape (n, d); Euclidean."""
    difficulties: NDArray[np.float64] | None = None
    """1 - solve rate, in [0, 1], shape (n,); 0 = always solved."""
    curves: NDArray[np.float64] | None = None
    """Solve rate at each visit of a logged run, shape (n, visits); NaN where not visited."""
    mean_curve: NDArray[np.float64] | None = None
    """Mean of the curves of the whole pool, shape (visits,); None is that of the members."""

    def __len__(self) -> int:
        return len(self.features)

    def take(self, rows: NDArray[np.int64]) -> Members:
        """Return the members at these rows, in this order."""
        return Members(
            self.features[rows],
            None if self.difficulties is None else self.difficulties[rows],
            None if self.curves is None else self.curves[rows],
            self.mean_curve,
        )


class Selector(ABC):
    """Keeps representatives of one cluster; a registered selector is a dataclass."""

    needs: ClassVar[frozenset[str]] = frozenset()
    """What it reads beside features: any of ``difficulties`` and ``curves``."""
    nested: ClassVar[bool] = False
    """Whether the choice of k is always the beginning of the choice of k + 1, so that a budget of
    tokens needs one selection and not one for each size that it tries."""

    @abstractmethod
    def select(self, members: Members, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Choose k >= 0 of n members; ``rng`` is the only source of chance.

        Returns
        -------
        ndarray of int64, shape (min(k, n),)
            Distinct rows of ``members``, in the order they were chosen.
        """


def check_needs(name: str, selector: Selector | type[Selector], has: Set[str]) -> None:
    """Refuse a selector, by its registered name, that reads what the data do not have.

    ``has`` is any of ``difficulties`` and ``curves``; the error tells the option that gives it.
    """
    for need in sorted(selector.needs):
        if need not in MENDS:
            raise unknown_name(f"need of the selector '{name}'", need, MENDS)
        if need not in has:
            raise missing(name, need)


def missing(name: str, need: str) -> SparftError:
    """Build the error for a need of the selector ``name`` that is not met."""
    return SparftError(f"the selector '{name}' needs {MENDS[need]}")


def check_whole(name: str, option: str, value: Any) -> None:
    """Refuse an option of the selector ``name`` that is not a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SparftError(
            f"{option} of the selector '{name}' must be a whole number of at least 1, "
            f"not {value!r}."
        )


def mean_curve(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of each visit, shape (visits,), over the prompts that were visited; 0 where none was."""
    seen = ~np.isnan(curves)
    sums = np.where(seen, curves, 0.0).sum(axis=0)
    mean: NDArray[np.float64] = sums / np.maximum(seen.sum(axis=0), 1)
    return mean
