"""The verifiers that a shaper can build on, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from sparft_plugin.errors import unknown_name

VERIFIERS = ("exact", "math_answer", "gsm8k", "competition", "cosine_length", "length_budget")
"""Modules of this room whose ``compute_score`` returns a score with its parts."""


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
