"""The contract of a curriculum, as checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sparft_plugin.curriculum import Curriculum
from sparft_plugin.testing.curricula import feedback, picks, saving, strange_states
from sparft_plugin.testing.curricula.subject import NEW_PROMPTS, PROMPTS, Subject

__all__ = ["CURRICULUM_CHECKS", "NEW_PROMPTS", "PROMPTS", "Subject", "check_curriculum"]

CURRICULUM_CHECKS: tuple[Callable[[Subject], None], ...] = (
    picks.is_a_dataclass_of_the_contract,
    picks.selects_exactly_n_prompts_of_the_pool,
    picks.gives_no_prompt_twice_in_a_batch,
    picks.repeats_no_prompt_more_than_it_must,
    picks.takes_a_single_prompt_as_a_pool,
    picks.reports_finite_metrics_that_add_up,
    saving.saves_json,
    picks.depends_on_seed_and_history_alone,
    picks.leaves_global_chance_alone,
    picks.does_not_depend_on_the_order_of_the_pool,
    feedback.does_not_depend_on_the_order_of_groups,
    feedback.refuses_wrong_picks,
    saving.continues_exactly_from_a_saved_state,
    saving.continues_exactly_from_packed_arrays,
    saving.replaces_what_happened_before_a_load,
    saving.saves_snapshots,
    feedback.answers_only_the_picks_of_a_loaded_state,
    strange_states.refuses_states_with_other_keys,
    strange_states.refuses_the_state_of_another_method,
    strange_states.maps_a_changed_pool_by_id,
    strange_states.goes_on_when_an_arm_empties,
    strange_states.starts_moved_arms_afresh,
    saving.changes_nothing_when_it_is_read,
)
"""What ``check_curriculum`` does, one by one."""


def check_curriculum(factory: Callable[..., Curriculum], **options: Any) -> None:
    """Check that a curriculum keeps the contract.

    It is asked for batches of many sizes, told of groups late, out of order and never, saved,
    restored, given another pool and given broken states. It must give exact counts of prompts of
    the pool, none twice in a batch that the pool can fill, depend on nothing but pool, seed and
    history, continue exactly from a saved state, and report finite metrics.

    Parameters
    ----------
    factory : callable
        The class, or a function, that makes a curriculum not yet started.
    **options
        What it is called with. The pools are made of ``PROMPTS`` and ``NEW_PROMPTS``.

    Raises
    ------
    AssertionError
        A sentence about the first thing that does not hold.
    """
    for check in CURRICULUM_CHECKS:
        check(Subject(factory, options))
