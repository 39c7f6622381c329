"""Exact-match reward: one working, one '=', one answer."""

from __future__ import annotations

from typing import Any


def final_answer(response: str) -> str | None:
    """Return what follows the only ' = ' of a response, or None if there is not exactly one."""
    working, separator, answer = response.partition(" = ")
    return answer if separator and working and "=" not in answer else None


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: dict[str, Any] | None = None,
    **kwargs: Any,
) -> dict[str, float]:
    """Score a response 1 if its final answer is the ground truth byte for byte, else 0.

    Parameters
    ----------
    data_source, extra_info, kwargs
        Given by verl, not used: all families share one rule.
    solution_str : str
        The response, without special tokens.
    ground_truth : str
        The only accepted answer.

    Returns
    -------
    dict
        ``score`` and ``acc``, both 0.0 or 1.0.
    """
    right = float(final_answer(solution_str) == ground_truth)
    return {"score": right, "acc": right}
