"""Data reduction: keep a few prompts that stand for all, in arms, with a difficulty each."""

from sparft_plugin.reduction.config import ReductionConfig
from sparft_plugin.reduction.pipeline import from_embeddings, reduce
from sparft_plugin.reduction.result import Manifest, Reduction
from sparft_plugin.reduction.write import write_reduced

__all__ = [
    "Manifest",
    "Reduction",
    "ReductionConfig",
    "from_embeddings",
    "reduce",
    "write_reduced",
]
