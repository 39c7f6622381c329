"""Length budget: a target length that shrinks while the policy learns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sparft_plugin.errors import require
from sparft_plugin.options import check_number, check_whole
from sparft_plugin.rewards.api import is_count, response_tokens, reward_function, verify


def budget_at(step: int, start: float, decay: float, every: int, least: float = 1.0) -> float:
    """Return the budget of a training step t >= 0, in tokens.

        B(t) = max(least, start * decay ^ floor(t / every))

    Train Long, Think Short, https://arxiv.org/abs/2508.08940, whose `least` is 1.
    """
    return float(max(least, start * decay ** (step // every)))


def budget_rate(tokens: int, budget: float) -> float:
    """Return how well a length fits a budget: 0 at 0, 1 at the budget, 0 from twice the budget on.

    The triangle of Train Long, Think Short: using the budget up is rewarded as well as keeping to
    it, so that early steps explore.
    """
    return max(0.0, 1 - abs(tokens - budget) / budget)


@reward_function
def compute_score(
    data_source: Any,
    solution_str: str,
    ground_truth: Any,
    extra_info: Any = None,
    *,
    start: float = 256.0,
    decay: float = 0.8,
    every: int | None = None,
    least: float = 1.0,
    tokenizer: str | None = None,
    weight: float = 0.5,
    verifier: str = "gsm8k",
    verifier_kwargs: Mapping[str, Any] | None = None,
) -> dict[str, float]:
    """Score a response by a verifier's score + weight * how well its length fits the budget.

    See ``api``; ``extra_info["max_global_steps"]`` is the training step, which verl's v1 trainer
    knows of every rollout: 0 before the first update, also in validation. The parts are the
    verifier's, ``length`` in [0, 1], ``tokens``, and ``budget`` in tokens.

    Parameters
    ----------
    start : float >= 1, default 256
        Budget of the first step, in tokens.
    decay : float in (0, 1], default 0.8
        Factor by which it shrinks.
    every : int >= 1
        Steps between two shrinkings; no default, because it depends on the length of the run.
    least : float >= 1, default 1.0
        The budget that is never gone below.
    weight : float >= 0, default 0.5
        What the length is worth; below 1, so that it never pays more than being right.
    tokenizer, verifier, verifier_kwargs
        See ``cosine_length.compute_score``.
    """
    check_number("reward_kwargs.start", start, 1)
    check_number("reward_kwargs.decay", decay, 0, 1, open_low=True)
    steps = check_whole("reward_kwargs.every", every, 1)
    check_number("reward_kwargs.least", least, 1)
    check_number("reward_kwargs.weight", weight, 0)
    parts = verify(verifier, verifier_kwargs, data_source, solution_str, ground_truth, extra_info)
    tokens = response_tokens(solution_str, extra_info, tokenizer)
    step: Any = (extra_info or {}).get("max_global_steps")
    require(
        is_count(step),
        f"extra_info.max_global_steps is {step!r}, but length_budget needs the training step; "
        "train with trainer.use_v1=True and one of verl's own reward managers.",
    )
    budget = budget_at(step, start, decay, steps, least)
    length = budget_rate(tokens, budget)
    score = parts["score"] + weight * length
    return {**parts, "score": score, "length": length, "tokens": float(tokens), "budget": budget}
