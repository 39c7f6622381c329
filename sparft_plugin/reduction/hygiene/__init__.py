"""Hygiene of a pool: near-duplicates, and prompts that evaluation sets hold."""

from sparft_plugin.reduction.hygiene.clean import (
    SIMILARITY,
    Contaminated,
    Evaluation,
    Hygiene,
    clean,
    write_pairs,
)
from sparft_plugin.reduction.hygiene.near import NearDuplicate, Similar, near_duplicates, similar
from sparft_plugin.reduction.hygiene.overlap import Overlap, OverlapIndex

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
