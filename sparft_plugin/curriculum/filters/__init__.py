"""Which finished groups go on to the trainer, judged by their raw accuracy."""

from sparft_plugin.curriculum.filters.band import Band
from sparft_plugin.curriculum.filters.base import GroupFilter
from sparft_plugin.curriculum.filters.mixed_only import MixedOnly

__all__ = ["Band", "GroupFilter", "MixedOnly"]
