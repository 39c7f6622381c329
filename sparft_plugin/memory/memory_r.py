"""Memory-R: reward a response for being close to what succeeded before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import require
from sparft_plugin.memory.archive import Arrays
from sparft_plugin.memory.base import IntrinsicReward, MemoryGroup, Terms
from sparft_plugin.memory.normalize import WindowNormalizer
from sparft_plugin.memory.store import STORAGES, EpisodicStore, check_fits
from sparft_plugin.memory.term import CLOSENESS, Formula, ReleasedTerm, Term, members
from sparft_plugin.options import check_choice, check_number, check_whole

RULES = {"paper": Term, "released": ReleasedTerm}
TEXTS = ("response", "reasoning", "tail", "windows")


def stored_text(response: str, stored: str) -> str:
    """Return the text of a whole response that stands for it in a memory of ``stored`` texts.

    https://arxiv.org/abs/2504.02273 stores the response, its released code only the text between
    the reasoning tags. ``reasoning`` is that: what stands, stripped, in the ``<reasoning>`` block
    or, without one, in ``<think>``, of several in the one that is opened last. A block that is
    never closed, for example at the length limit, goes to the end; one that the prompt opened goes
    from the beginning; without any tag it is the whole response. The other three return the
    response as it is: they say what of it the encoder reads.
    """
    if stored != "reasoning":
        return response
    for opening, closing in (("<reasoning>", "</reasoning>"), ("<think>", "</think>")):
        if opening in response or closing in response:
            return response.rpartition(opening)[2].partition(closing)[0].strip()
    return response.strip()


@dataclass(eq=False)
class MemoryR(IntrinsicReward):
    """Pay for closeness to the mean of the successes of the nearest known queries.

    R_s = -|| a - mean(B(M_s, q)) ||_2, scaled to [0, 1] by `WindowNormalizer`. Le et al. 2025,
    https://arxiv.org/abs/2504.02273, the exploit half of its memory-based reward. While M_s is
    empty the reward is 0 and no raw value enters the window. Only successes are stored, because
    nothing here reads failures: the metric ``failure`` is 0.

    Parameters
    ----------
    encoder : str
        See `IntrinsicReward`.
    neighbors : int >= 1, default 1
        Number K of nearest stored queries that are read; the paper uses 1 on GSM8K.
    query_capacity : int >= 1 or None, default None
        Largest number N of stored queries; None = no limit (the paper: size of the training set).
    response_capacity : int >= 1, default 100
        Largest number L of stored responses per query.
    success_threshold : float in [0, 1), default 0.5
        A response is a success if its raw accuracy is above this.
    window : int >= 1, default 100
        Number w of raw values that the normalisation looks back on.
    normalize : {"global", "per_query"}, default "global"
        One window for all queries, or one for each; see `WindowNormalizer`. At most
        `query_capacity` windows are kept.
    exploit_weight : float >= 0, default 1.0
        Weight beta_s of the term.
    compat : {"paper", "released"}, default "paper"
        Whether a step is scored before it is written, or as in the released code response by
        response; see `ReleasedTerm`, whose values can leave [0, 1]. The released code has one
        window, so ``normalize`` must be ``global``.
    stored : {"response", "reasoning", "tail", "windows"}, default "response"
        The text that was embedded, of which an encoder reads the beginning: all-MiniLM-L6-v2 256
        word pieces. ``response`` and ``reasoning``: see `stored_text`. ``tail``: the last words of
        the response, as many as are read. ``windows``: the mean over all of it, window by window.
        It is the host that embeds: here the option is only checked and saved, so that a memory of
        other texts is refused.
    storage : {"float32", "float16"}, default "float32"
        Precision of the stored responses; see `EpisodicStore`.

    Raises
    ------
    SparftError
        If an option is out of its range; it is named as ``sparft.memory.<option>``.
    """

    name: ClassVar[str] = "memory_r"
    formulas: ClassVar[dict[str, Formula]] = {"exploit": CLOSENESS}

    neighbors: int = 1
    query_capacity: int | None = None
    response_capacity: int = 100
    success_threshold: float = 0.5
    window: int = 100
    normalize: str = "global"
    exploit_weight: float = 1.0
    compat: str = "paper"
    stored: str = "response"
    storage: str = "float32"
    exploit: Term = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("sparft.memory.neighbors", self.neighbors, 1)
        if self.query_capacity is not None:
            check_whole("sparft.memory.query_capacity", self.query_capacity, 1)
        check_whole("sparft.memory.response_capacity", self.response_capacity, 1)
        threshold = "sparft.memory.success_threshold"
        check_number(threshold, self.success_threshold, 0, 1, open_high=True)
        check_number("sparft.memory.exploit_weight", self.exploit_weight, 0)
        check_choice("sparft.memory.compat", self.compat, RULES)
        check_choice("sparft.memory.stored", self.stored, TEXTS)
        check_choice("sparft.memory.storage", self.storage, STORAGES)
        vars(self).update(self._empty_terms())
        require(
            self.compat != "released" or self.normalize == "global",
            "sparft.memory.normalize must be 'global' with sparft.memory.compat=released: the "
            "released code has one window.",
        )

    def _empty_terms(self) -> dict[str, Term]:
        terms = {}
        for name, formula in self.formulas.items():
            store = EpisodicStore(self.query_capacity, self.response_capacity, self.storage)
            windows = WindowNormalizer(self.window, self.normalize, self.query_capacity)
            rule = RULES[self.compat]
            terms[name] = rule(formula, self.succeeded, self.neighbors, store, windows)
        return terms

    def check(self, groups: Sequence[MemoryGroup]) -> None:
        """Also refuse embeddings that `storage` cannot hold."""
        super().check(groups)
        for group in groups:
            check_fits(group.prompt_id, group.responses, self.storage)

    def terms(self, groups: Sequence[MemoryGroup]) -> list[Terms]:
        """Weighted, scaled R_s; see `IntrinsicReward.score`."""
        return [
            Terms(exploit=part, explore=np.zeros(len(part)), total=self.exploit_weight * part)
            for part in self.exploit.score(groups)
        ]

    def remember(self, groups: Sequence[MemoryGroup]) -> None:
        """Record the raw values of the step and store its successes."""
        self.exploit.write(groups)

    def succeeded(self, group: MemoryGroup) -> NDArray[np.bool_]:
        """Which responses count as successes, (g,)."""
        return group.accuracies > self.success_threshold

    def metrics(self) -> dict[str, float]:
        """Stored responses, stored queries, the bytes they take, and zero embeddings so far."""
        return {
            "success": float(self.exploit.store.size),
            "failure": 0.0,
            "queries": float(len(self.exploit.store)),
            "bytes": float(self.exploit.store.nbytes),
            "zero_embeddings": float(self.zero_embeddings),
        }

    def arrays(self) -> Arrays:
        """Return what the terms hold."""
        return {
            f"{name}.{key}": value
            for name in self.formulas
            for key, value in getattr(self, name).arrays().items()
        }

    def restore(self, arrays: Arrays, dimension: int | None) -> None:
        """Take over saved arrays; on a SparftError nothing has changed."""
        terms = self._empty_terms()
        for name, term in terms.items():
            term.restore(members(arrays, f"{name}."), dimension)
        vars(self).update(terms)
