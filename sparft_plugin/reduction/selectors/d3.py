"""D3: a coreset weighted by difficulty and dependability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.reduction.selectors.base import Members, Selector, check_whole, missing
from sparft_plugin.reduction.selectors.points import Points


@dataclass
class D3(Selector):
    """Each choice is far from all earlier ones, hard, and known to have a reachable answer.

    x <- argmax_x distinctiveness(x) * difficulty(x) * dependability(x), the greedy answer to the
    weighted k-center objective of D3, https://arxiv.org/abs/2503.11441. The paper selects for
    supervised tuning with a model and a teacher at hand; a reduction has neither, so here

    - distinctiveness is the Euclidean distance to the nearest chosen member in the space that was
      clustered (the paper: between embeddings of instructions);
    - difficulty is d = 1 - solve rate (the paper: a token loss weighed by its entropy);
    - dependability is 1 - d^group, the chance that one of ``group`` rollouts is right: a rollout
      that passes the verifier attests the answer (the paper: a teacher model's grade);
    - there is one round, without the paper's feedback from a model tuned in between.

    Prompts that are always or never solved have weight 0 and come only when nothing else is left.
    The first choice is the heaviest member, of equals the one nearest to the centroid. Later ties
    go to the farther, then the heavier member, then to the lowest row.

    Parameters
    ----------
    group : int >= 1, default 8
        Rollouts of one group; larger trusts rarely solved prompts more.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"difficulties"})
    nested: ClassVar[bool] = True

    group: int = 8

    def __post_init__(self) -> None:
        check_whole("d3", "group", self.group)

    def select(self, members: Members, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Choose min(k, n) members; ``rng`` is not used."""
        if members.difficulties is None:
            raise missing("d3", "difficulties")
        chosen = np.empty(min(k, len(members)), dtype=np.int64)
        if not len(chosen):
            return chosen
        weight = members.difficulties * (1.0 - members.difficulties**self.group)
        points = Points(members.features)
        nearest = np.full(len(members), np.inf)
        chosen[0] = np.lexsort((points.spread, -weight))[0]
        for step, latest in enumerate(chosen[:-1], start=1):
            np.minimum(nearest, points.distances(latest), out=nearest)
            score = weight * nearest
            score[chosen[:step]] = -1.0
            tied = np.flatnonzero(score == score.max())
            chosen[step] = tied[np.lexsort((-weight[tied], -nearest[tied]))[0]]
        return chosen
