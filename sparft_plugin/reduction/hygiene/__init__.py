"""Hygiene of a pool: near-duplicates, and prompts that evaluation sets hold."""

from sparft_plugin.reduction.hygiene.clean import (
    SIMILARITY,
    Contaminated,
    Evaluation,
    Hygiene,
    clean,
)
from sparft_plugin.reduction.hygiene.duplicates import NearDuplicate, near_duplicates
from sparft_plugin.reduction.hygiene.overlap import Overlap, OverlapIndex
from sparft_plugin.reduction.hygiene.pairs import write_pairs
from sparft_plugin.reduction.hygiene.similarity import Similar, similar

__all__ = [
    "SIMILARITY",
    "Contaminated",
    "Evaluation",
    "Hygiene",
    "NearDuplicate",
    "Overlap",
    "OverlapIndex",
    "Similar",
    "clean",
    "near_duplicates",
    "similar",
    "write_pairs",
]
