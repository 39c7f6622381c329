"""What all reward functions share: checked ``reward_kwargs``, and the verifiers by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from typing import Any

from sparft_plugin.errors import SparftError, unknown_name

FROM_VERL = ("reward_router_address", "reward_model_tokenizer")
"""Keyword arguments that verl adds beside a reward model; they are not ours to judge."""

VERIFIERS = ("exact", "math_answer", "gsm8k", "competition", "cosine_length", "length_budget")
"""Modules of this room whose ``compute_score`` returns a score with its parts."""


def refuse_unknown(function: str, kwargs: Mapping[str, Any], options: Collection[str] = ()) -> None:
    """Refuse options that a reward function does not have.

    Raises
    ------
    SparftError
        Naming the first, and those that exist.
    """
    for key in kwargs:
        if key not in FROM_VERL:
            raise unknown_name(f"reward_kwargs option of {function}", key, options)


def check_number(
    option: str, value: Any, low: float = -math.inf, high: float = math.inf, *, above: bool = False
) -> float:
    """Return a finite number in [`low`, `high`], without `low` itself where `above`.

    Raises
    ------
    SparftError
        Naming the option and the value.
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if number and math.isfinite(value) and low <= value <= high and not (above and value == low):
        return float(value)
    least = "" if low == -math.inf else f" {'above' if above else 'of at least'} {low:g}"
    most = "" if high == math.inf else f" and at most {high:g}"
    raise SparftError(
        f"reward_kwargs.{option} must be a finite number{least}{most}, not {value!r}."
    )


def verify(
    name: str,
    options: Mapping[str, Any] | None,
    data_source: Any,
    solution_str: str,
    ground_truth: Any,
    extra_info: Any,
) -> dict[str, float]:
    """Score a response by a named verifier.

    Parameters
    ----------
    name : str
        One of ``VERIFIERS``.
    options : mapping, optional
        Its own ``reward_kwargs``.
    data_source, solution_str, ground_truth, extra_info
        As verl gives them.

    Raises
    ------
    SparftError
        If there is no such verifier.
    """
    if name not in VERIFIERS:
        raise unknown_name("reward_kwargs.verifier", name, VERIFIERS)
    score: Callable[..., dict[str, float]] = import_module(
        f"sparft_plugin.rewards.{name}"
    ).compute_score
    return score(data_source, solution_str, ground_truth, extra_info, **dict(options or {}))
