"""Which prompt comes next: curricula that select prompts and learn from finished groups."""

from sparft_plugin.curriculum.arms import ArmCurriculum
from sparft_plugin.curriculum.base import Curriculum
from sparft_plugin.curriculum.groups import Groups
from sparft_plugin.curriculum.passes import Passes
from sparft_plugin.curriculum.pool import PromptPool
from sparft_plugin.curriculum.prompts import PromptCurriculum
from sparft_plugin.curriculum.records import Outcome, Pick, Prompt

__all__ = [
    "ArmCurriculum",
    "Curriculum",
    "Groups",
    "Outcome",
    "Passes",
    "Pick",
    "Prompt",
    "PromptCurriculum",
    "PromptPool",
]
