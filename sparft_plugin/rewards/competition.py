"""Competition mathematics, as in AI-MO: an answer equal as mathematics, and marked steps."""

from __future__ import annotations

from typing import Any

from sparft_plugin.rewards import math_answer
from sparft_plugin.rewards.api import check_number, refuse_unknown
from sparft_plugin.rewards.layout import steps_rate


def compute_score(
    data_source: Any,
    solution_str: str,
    ground_truth: Any,
    extra_info: Any = None,
    *,
    steps_weight: float = 0.5,
    seconds: float = math_answer.SECONDS,
    **kwargs: Any,
) -> dict[str, float]:
    """Score a response by accuracy + steps_weight * marked steps.

    The pair that Memory-R (https://arxiv.org/abs/2504.02273) uses on AI-MO.

    Parameters
    ----------
    data_source, solution_str, ground_truth, extra_info, seconds
        See ``math_answer.compute_score``.
    steps_weight : float >= 0, default 0.5
        What three marked steps are worth; less than an answer, so that steps alone never pay more
        than being right.

    Returns
    -------
    dict
        ``score``; ``acc``, 0.0 or 1.0; ``answered`` and ``overtime``, see ``math_answer``;
        ``steps`` in [0, 1], not weighted.

    Raises
    ------
    SparftError
        On an unknown option, a bad weight, a ground truth that is no answer, or without
        math-verify.
    """
    refuse_unknown("competition", kwargs, ["steps_weight", "seconds"])
    check_number("steps_weight", steps_weight, 0)
    parts = math_answer.compute_score(
        data_source, solution_str, ground_truth, extra_info, seconds=seconds
    )
    steps = steps_rate(solution_str)
    return {**parts, "score": parts["acc"] + steps_weight * steps, "steps": steps}
