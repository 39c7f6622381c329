"""What is refused before a run: trainers, settings and options that cannot go together."""

from __future__ import annotations

import inspect
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from sparft_plugin.config.schema import SparftConfig, Wraps
from sparft_plugin.errors import SparftError, require

METHODS = {
    "_generate_and_score_completions": ("inputs",),
    "_calculate_rewards": ("inputs", "prompts", "completions", "completion_ids_list"),
    "_save_checkpoint": ("model", "trial"),
}
"""Where the mixin attaches, and what each method has taken from trl 0.19 to 1.16."""


def check_class(trainer: type[Any]) -> None:
    """Refuse a trainer whose methods are not those that the mixin wraps."""
    for name, arguments in METHODS.items():
        method = getattr(trainer, name, None)
        given = tuple(inspect.signature(method).parameters)[1:] if method else None
        if given != arguments:
            has = "no such method" if given is None else f"({', '.join(given)})"
            trl = version("trl") if find_spec("trl") else "(not installed)"
            raise SparftError(
                f"{trainer.__name__} of trl {trl} has {has} for {name}"
                f"({', '.join(arguments)}), where sparft attaches; use GRPOTrainer, RLOOTrainer or "
                "a class derived from one, of trl 0.19 to 1.16."
            )


def check_options(options: SparftConfig) -> None:
    """Refuse options that only verl can follow."""
    group_filter, chooses = options.group_filter, options.curriculum is not None
    require(
        group_filter is None,
        f"sparft.group_filter={(group_filter or {}).get('name')} needs a trainer that generates "
        "other groups in place of those it drops, which TRL does not; leave it out: a group whose "
        "rewards are all equal has advantage 0 and moves nothing.",
    )
    require(
        options.wraps == Wraps(),
        "sparft.wraps names classes of verl; leave it out, TRL takes dataset and reward functions "
        "as arguments.",
    )
    require(
        chooses or options.memory is not None,
        "sparft has neither a curriculum nor a memory, so it would do nothing; name one of them, "
        "or use the trainer without sparft.",
    )
    require(
        chooses or options.reduction is None,
        "sparft.reduction needs a curriculum that chooses from the reduced prompts; add "
        "sparft.curriculum.name=uniform, or train on what `sparft reduce` wrote.",
    )


def check_trainer(trainer: Any) -> None:
    """Refuse settings under which rewards or prompts would not be what sparft takes them for."""
    import datasets

    require(
        getattr(trainer.args, "multi_objective_aggregation", None) != "normalize_then_sum",
        "multi_objective_aggregation='normalize_then_sum' (GDPO) scales each reward function by "
        "itself, so that the memory's small terms would count as much as accuracy, and the "
        "curriculum would be told other advantages than those trained on; set "
        "'sum_then_normalize'.",
    )
    require(
        isinstance(trainer.train_dataset, datasets.Dataset),
        f"train_dataset is of type {type(trainer.train_dataset).__name__}; sparft chooses rows by "
        "number and needs a datasets.Dataset, which is read from disk as it is used.",
    )
