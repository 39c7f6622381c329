"""LIMR: prompts whose rewards moved as the run did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.reduction.selectors.base import Members, Selector, missing
from sparft_plugin.reduction.selectors.base import mean_curve as mean_of
from sparft_plugin.reduction.selectors.points import Points


@dataclass
class Limr(Selector):
    """Keep the members whose reward curve is most like the mean curve of the run.

    Learning impact measurement of LIMR, https://arxiv.org/abs/2502.11886; see ``alignment``. The
    paper keeps all above a threshold; here each cluster gives its k highest. Members without a
    visit come last. Ties go to the member nearest to the centroid, then to the lowest row.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"curves"})
    nested: ClassVar[bool] = True

    def select(self, members: Members, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Choose min(k, n) members; ``rng`` is not used."""
        if members.curves is None:
            raise missing("limr", "curves")
        if not len(members):
            return np.empty(0, dtype=np.int64)
        # NaN sorts behind every number, which is where members without a curve belong.
        order: NDArray[np.int64] = np.lexsort(
            (Points(members.features).spread, -alignment(members.curves, members.mean_curve))
        )
        return order[:k]


def alignment(
    curves: NDArray[np.float64], mean_curve: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Score how closely each reward curve follows the mean curve.

    s_i = 1 - sum_k (r_i^k - m^k)^2 / sum_k (1 - m^k)^2, where m^k is the mean reward at visit k;
    https://arxiv.org/abs/2502.11886, section 2. Visits at which prompt i was not seen are left out
    of both sums (the released code fills some from the next visit and drops the prompt
    otherwise). A prompt that is always right scores 0 whatever m is, so a prompt seen only when
    all were right, for which both sums are 0, scores 0 too.

    ``curves``, shape (n, visits), hold the mean reward of each visit, at most 1 = every rollout
    right, NaN where not visited; None for ``mean_curve`` is their mean. Returned, shape (n,), is at
    most 1 = exactly the mean curve; NaN for a prompt without a visit.
    """
    seen, mean = ~np.isnan(curves), mean_of(curves) if mean_curve is None else mean_curve
    rewards = np.where(seen, curves, 0.0)
    apart = np.where(seen, np.square(rewards - mean), 0.0).sum(axis=1)
    room = np.where(seen, np.square(1.0 - mean), 0.0).sum(axis=1)
    score: NDArray[np.float64] = np.where(
        room > 0, 1.0 - apart / np.where(room > 0, room, 1.0), 0.0
    )
    score[~seen.any(axis=1)] = np.nan
    return score
