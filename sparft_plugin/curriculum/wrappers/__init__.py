"""What goes around any curriculum: a floor for every arm, and re-tests of retired prompts."""

from sparft_plugin.curriculum.wrappers.base import Wrapper
from sparft_plugin.curriculum.wrappers.retest import Retest
from sparft_plugin.curriculum.wrappers.share_floor import ShareFloor

__all__ = ["Retest", "ShareFloor", "Wrapper"]
