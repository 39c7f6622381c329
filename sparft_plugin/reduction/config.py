"""The options of a reduction, checked where they are made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from sparft_plugin.errors import SparftError


@dataclass(frozen=True)
class ReductionConfig:
    """Options of ``reduce``; each value is checked on construction.

    Raises
    ------
    SparftError
        If a value has the wrong type or is out of its range.
    """

    encoder: str = "all-MiniLM-L6-v2"
    """Model that reads the prompts: this packaged one, a local folder or a hub id."""
    embedder: str = "sentence_transformers"
    """Registered name of the class that runs the model."""
    difficulty_key: str | None = None
    """Column of difficulty labels, possibly dotted; None clusters by meaning only."""
    difficulty_weight: float = 1.0
    """Weight of the standardised difficulty against a semantic block of total variance 1, >= 0."""
    pca_components: int = 32
    """Principal components kept of the embeddings, >= 1; at most min(n - 1, d) exist."""
    clusters: int = 10
    """Number of clusters K, the arms of the curriculum, >= 1."""
    per_cluster: int = 10
    """Representatives l of each cluster, >= 1; K times l prompts are kept in all."""
    selector: str = "farthest_point"
    """Registered name of the rule that chooses representatives."""
    seed: int = 0
    """Seed of k-means and of the selector, 0 to 2**32 - 1."""

    def __post_init__(self) -> None:
        for name in ("encoder", "embedder", "selector"):
            _check_name(name, getattr(self, name))
        if self.difficulty_key is not None:
            _check_name("difficulty_key", self.difficulty_key)
        for name in ("pca_components", "clusters", "per_cluster"):
            _check_integer(name, getattr(self, name), 1)
        _check_integer("seed", self.seed, 0)
        if self.seed >= 2**32:
            raise SparftError(f"seed must be below 2**32, not {self.seed}.")
        weight = self.difficulty_weight
        number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
        if not number or not math.isfinite(weight) or weight < 0:
            raise SparftError(f"difficulty_weight must be a finite number >= 0, not {weight!r}.")


def _check_name(name: str, value: Any) -> None:
    if not isinstance(value, str) or not value.strip():
        raise SparftError(f"{name} must be a non-empty string, not {value!r}.")


def _check_integer(name: str, value: Any, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise SparftError(f"{name} must be an integer >= {least}, not {value!r}.")
