"""Contract checks for methods of your own: one line in your test, a sentence where it fails.

Each ``check_...(factory, **options)`` is given a class, or a function that makes a method, and what
it is called with; an AssertionError says in a sentence what does not hold first. Our own methods
pass the same checks (``tests/contract``). Nothing here needs pytest or a network.
"""

from sparft_plugin.testing.curricula import NEW_PROMPTS, PROMPTS, check_curriculum
from sparft_plugin.testing.embedders import check_embedder
from sparft_plugin.testing.group_filters import check_group_filter
from sparft_plugin.testing.intrinsic_rewards import check_intrinsic_reward
from sparft_plugin.testing.selectors import check_selector

__all__ = [
    "NEW_PROMPTS",
    "PROMPTS",
    "check_curriculum",
    "check_embedder",
    "check_group_filter",
    "check_intrinsic_reward",
    "check_selector",
]
