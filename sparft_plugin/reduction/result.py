"""What a reduction kept, and why: a result that explains itself."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError
from sparft_plugin.reduction.coverage import Arm, Pool

if TYPE_CHECKING:
    import pandas

    from sparft_plugin.reduction.hygiene import Hygiene

METHOD = "SPaRFT stage one: embed, cluster, keep representatives (arXiv 2508.05015)"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything needed to judge a reduction or to make it again, in plain JSON values.

    Nothing in it depends on the order of rows, the machine or the time.
    """

    method: str = METHOD
    version: str
    """Of this package."""
    options: dict[str, Any]
    """Of ``ReductionConfig``."""
    seed: int
    encoder: str
    """``name@revision``, or ``given``."""
    source: str
    fingerprint: str
    """Of the prompts with their truths and labels."""
    prompts: int
    """Different prompts of the data."""
    pool: int
    """Prompts that were chosen from: all, or a sample, less what hygiene left out."""
    sample: int | None
    """Prompts that were looked at, where ``pool`` bounds them; None where all were."""
    kept: int
    duplicates: int
    """Rows left out because an earlier row holds the same prompt."""
    near_duplicates: int | None
    """Prompts left out because one that is almost the same stands for them; None if not asked."""
    contaminated: int | None
    """Prompts left out because an evaluation set holds them; None if none was named."""
    hygiene: dict[str, Any] | None
    """Counts of ``Hygiene``."""
    shortfall: int
    """Prompts of the budget that small arms could not give, so that larger ones did or none."""
    tokens: int | None
    """Tokens of the kept prompts, where the budget counts them."""
    difficulty: dict[str, Any] | None
    """Sources of difficulty, and how they were put on one scale."""
    difficulty_histogram: dict[str, list[Any]] | None
    """Prompts per bin of difficulty: ``edges`` (21), ``pool`` and ``kept`` (20 each)."""
    arms: list[Arm]
    coverage: dict[str, float | None]
    """``radius`` and ``mean_distance``; None if the budget left an arm without any."""
    silhouette: list[dict[str, Any]] | None
    """Score of each number of clusters that ``auto`` tried."""


@dataclass(frozen=True, eq=False)
class Reduction:
    """The m prompts that were kept, by arm and then in the order they were chosen."""

    ids: tuple[str, ...]
    """Prompt ids, m distinct ones."""
    rows: NDArray[np.int64]
    """Row of each kept prompt in the source of the prompt table, shape (m,)."""
    arms: NDArray[np.int64]
    """Arm of each kept prompt, shape (m,), in 0 .. K - 1, not decreasing."""
    difficulties: NDArray[np.float64]
    """Difficulty of each kept prompt in [0, 1], shape (m,); NaN where the data has no label."""
    facts: Manifest
    """How it came about; equal reductions have equal facts."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Time of each part."""
    pool: Pool | None = None
    """The whole pool that it was chosen from, which the page draws."""
    hygiene: Hygiene | None = None
    """Pairs behind what was left out as contaminated or near-duplicate, if that was asked for."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def manifest(self) -> dict[str, Any]:
        """The facts as plain JSON."""
        return asdict(self.facts)

    @property
    def counts(self) -> tuple[int, ...]:
        """Prompts kept of each arm, K numbers."""
        return tuple(arm.kept for arm in self.facts.arms)

    @property
    def pool_counts(self) -> tuple[int, ...]:
        """Prompts that each arm was chosen from, K numbers, not increasing."""
        return tuple(arm.pool for arm in self.facts.arms)

    @property
    def cluster_words(self) -> tuple[tuple[str, ...], ...]:
        """The most distinctive words of each arm, K tuples; empty without texts."""
        return tuple(tuple(arm.words) for arm in self.facts.arms)

    @property
    def coverage_radius(self) -> float:
        """Largest distance of a prompt to the nearest kept one; infinite if an arm has none."""
        return _distance(self.facts.coverage["radius"])

    @property
    def mean_distance(self) -> float:
        """Mean distance of a prompt to the nearest kept one of its arm, or infinity likewise."""
        return _distance(self.facts.coverage["mean_distance"])

    def to_dataframe(self) -> pandas.DataFrame:
        """Kept prompts as a table with the columns id, row, arm, words and difficulty."""
        try:
            import pandas
        except ImportError as error:
            raise SparftError("to_dataframe needs pandas; pip install pandas.") from error
        columns = {
            "id": list(self.ids),
            "row": self.rows,
            "arm": self.arms,
            "words": [", ".join(self.cluster_words[arm]) for arm in self.arms],
            "difficulty": self.difficulties,
        }
        return pandas.DataFrame(columns)


def _distance(value: float | None) -> float:
    return math.inf if value is None else value
