"""Hygiene of a pool: near-duplicates, and prompts that evaluation sets hold."""

from sparft_plugin.reduction.hygiene.clean import Evaluation, Hygiene, clean, write_pairs

__all__ = ["Evaluation", "Hygiene", "clean", "write_pairs"]
