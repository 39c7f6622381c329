"""Which prompts stand for their cluster: the selector contract and one file per rule."""

from sparft_plugin.reduction.selectors.base import Members, Selector, check_needs

__all__ = ["Members", "Selector", "check_needs"]
