"""Data reduction: keep a few prompts that stand for all, in arms, with a difficulty each."""

from sparft_plugin.reduction.config import ReductionConfig
from sparft_plugin.reduction.from_embeddings import from_embeddings
from sparft_plugin.reduction.pipeline import reduce
from sparft_plugin.reduction.result import Reduction
from sparft_plugin.reduction.write import write_reduced

__all__ = [
    "Reduction",
    "ReductionConfig",
    "from_embeddings",
    "reduce",
    "write_reduced",
]
