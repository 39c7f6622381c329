"""Which prompt comes next: curricula that select prompts and learn from finished groups."""

from sparft_plugin.curriculum.contract import (
    ArmCurriculum,
    Curriculum,
    PromptCurriculum,
    per_arm,
    per_prompt,
    per_run,
)
from sparft_plugin.curriculum.options import choice, number, whole
from sparft_plugin.curriculum.pool import Passes, PromptPool
from sparft_plugin.curriculum.records import Groups, Outcome, Pick, Prompt

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
    "choice",
    "number",
    "per_arm",
    "per_prompt",
    "per_run",
    "whole",
]
