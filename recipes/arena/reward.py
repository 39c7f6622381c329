"""The arena's reward for verl: right is the one answer, byte for byte."""

from __future__ import annotations

from typing import Any


def compute_score(
    data_source: str, solution_str: str, ground_truth: str, extra_info: Any = None, **kwargs: Any
) -> dict[str, float]:
    """Score a response 1 if it is the truth, else 0."""
    right = float(solution_str.strip() == ground_truth)
    return {"score": right, "acc": right}
