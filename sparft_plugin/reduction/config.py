"""The options of a reduction, checked where they are made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sparft_plugin import plugins
from sparft_plugin.errors import SparftError
from sparft_plugin.reduction.budget import parse_budget

if TYPE_CHECKING:
    from sparft_plugin.reduction.embedders import Embedder
    from sparft_plugin.reduction.selectors import Selector

AUTO, ALL = "auto", "all"
POOL_SHARE, POOL_LEAST = 25, 2500
"""Prompts that ``pool=auto`` looks at: so many for each that is kept, and at least so many."""


@dataclass(frozen=True)
class ReductionConfig:
    """Options of ``reduce``; each value is checked on construction."""

    encoder: str = "all-MiniLM-L6-v2"
    """Model that reads the prompts: this packaged one, a local folder or a hub id."""
    embedder: str = "sentence_transformers"
    """Registered name of the class that runs the model."""
    embedder_options: Mapping[str, Any] = field(default_factory=dict)
    """That class's own options, all but ``model``, which is the encoder."""
    difficulty_key: str | None = None
    """Column of difficulty labels, possibly dotted; None clusters by meaning only."""
    difficulty_weight: float = 1.0
    """Weight of the standardised difficulty against a semantic block of total variance 1, >= 0."""
    pca_components: int = 32
    """Principal components kept of the embeddings, >= 1; at most min(n - 1, d) exist."""
    clusters: int | str = 10
    """Number of clusters K, the arms of the curriculum, >= 1; or ``auto``, which tries several."""
    per_cluster: int = 10
    """Representatives l of each cluster, >= 1; K times l prompts are kept in all."""
    budget: int | str | None = None
    """Prompts kept in all, instead of K times l: a number, a share such as ``2%``, or the tokens of
    their texts such as ``50000 tokens``."""
    tokenizer: str | None = None
    """Folder or hub id of the tokenizer that a budget of tokens counts with; None is the
    encoder's."""
    selector: str = "farthest_point"
    """Registered name of the rule that chooses representatives."""
    selector_options: Mapping[str, Any] = field(default_factory=dict)
    """That rule's own options."""
    near_duplicates: float | None = None
    """Cosine from which one of two prompts is left out, in (0, 1]; None keeps both."""
    pool: int | str = AUTO
    """Prompts that are looked at: of a larger corpus those whose ids come first, which are a random
    sample because ids are hashes. A number; ``auto`` for 25 times what is kept, but at least 2,500;
    or ``all``."""
    seed: int = 0
    """Seed of k-means and of the selector, 0 to 2**32 - 1."""

    def __post_init__(self) -> None:
        for name in ("encoder", "embedder", "selector", "difficulty_key", "tokenizer"):
            value, optional = getattr(self, name), name in ("difficulty_key", "tokenizer")
            if not (isinstance(value, str) and value.strip() or value is None and optional):
                raise SparftError(f"{name} must be a non-empty string, not {value!r}.")
        for name in ("embedder_options", "selector_options"):
            value = getattr(self, name)
            if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
                raise SparftError(f"{name} must map names of options to values, not {value!r}.")
        if "model" in self.embedder_options:
            raise SparftError("embedder_options holds 'model', which is set by encoder; drop it.")
        words = {"clusters": (AUTO,), "pool": (AUTO, ALL)}
        for name in ("pca_components", "per_cluster", "clusters", "pool", "seed"):
            value, least = getattr(self, name), int(name != "seed")
            whole = isinstance(value, int) and not isinstance(value, bool) and value >= least
            if not whole and value not in words.get(name, ()):
                raise SparftError(f"{name} must be an integer >= {least}, not {value!r}.")
        if self.seed >= 2**32:
            raise SparftError(f"seed must be below 2**32, not {self.seed}.")
        _check_number("difficulty_weight", self.difficulty_weight, 0, math.inf)
        if self.near_duplicates is not None:
            _check_number("near_duplicates", self.near_duplicates, 0, 1)
            if not self.near_duplicates:
                raise SparftError("near_duplicates=0 must be a cosine above 0, such as 0.95.")
        if self.budget is not None:
            parse_budget(self.budget)

    def kept(self, prompts: int) -> int | None:
        """Prompts to keep of so many; None where a budget counts tokens or clusters are chosen."""
        if self.budget is not None:
            budget = parse_budget(self.budget)
            return None if budget.unit == "tokens" else budget.prompts(prompts)
        return None if self.clusters == AUTO else int(self.clusters) * self.per_cluster

    @property
    def encoding(self) -> dict[str, Any]:
        """All options of the embedder."""
        return {"model": self.encoder, **self.embedder_options}

    def build_embedder(self) -> Embedder:
        """Construct the embedder, whose weights are not loaded yet; a bad option is refused."""
        built: Embedder = plugins.build("embedder", self.embedder, self.encoding)
        return built

    def build_selector(self) -> Selector:
        """Construct the selector; a bad option is refused."""
        built: Selector = plugins.build("selector", self.selector, self.selector_options)
        return built


def _check_number(name: str, value: Any, least: float, most: float) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not least <= value <= most:
        bound = f">= {least}" if most == math.inf else f"from {least} to {most}"
        raise SparftError(f"{name} must be a finite number {bound}, not {value!r}.")
