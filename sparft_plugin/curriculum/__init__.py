"""Which prompt comes next: curricula that select prompts and learn from finished groups."""

from sparft_plugin.curriculum.arms import ArmCurriculum
from sparft_plugin.curriculum.base import Curriculum
from sparft_plugin.curriculum.records import Outcome, Pick, Prompt
from sparft_plugin.curriculum.shuffled_pass import ShuffledPass

__all__ = ["ArmCurriculum", "Curriculum", "Outcome", "Pick", "Prompt", "ShuffledPass"]
