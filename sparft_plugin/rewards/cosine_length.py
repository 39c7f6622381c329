"""Cosine length reward: short when right, long when wrong, nothing for running to the limit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sparft_plugin.options import check_number, check_whole
from sparft_plugin.rewards.api import refuse_unknown, response_tokens, verify

RIGHT = (1.0, 0.5)
WRONG = (-1.0, -0.5)


def cosine_length(
    tokens: int,
    limit: int,
    accuracy: float,
    right: tuple[float, float] = RIGHT,
    wrong: tuple[float, float] = WRONG,
    exceeded: float = WRONG[0],
) -> float:
    """Return the reward for the length n of a response, in tokens, generation ending at L.

        r(n) = r_L + (r_0 - r_L) (1 + cos(pi n / L)) / 2   for n < L,   exceeded for n >= L

    so r goes from r_0 for an empty response to r_L at the limit. Demystifying Long
    Chain-of-Thought, https://arxiv.org/abs/2502.03373, Eq. 1. In tokens, and flat at the limit: the
    "Cosine" baseline in Memory-R's release divides characters by a token limit, so that its cosine
    comes round again and pays long wrong answers like short ones. (r_0, r_L) is `right` at
    `accuracy` 1 and `wrong` at 0, Memory-R's by default, and linear in between; `exceeded` is the
    reward of the shortest wrong response in the paper.
    """
    if tokens >= limit:
        return exceeded
    fade = (1 + math.cos(math.pi * tokens / limit)) / 2
    short, long = (accuracy * r + (1 - accuracy) * w for r, w in zip(right, wrong, strict=True))
    return long + (short - long) * fade


def compute_score(
    data_source: Any,
    solution_str: str,
    ground_truth: Any,
    extra_info: Any = None,
    *,
    limit: int | None = None,
    tokenizer: str | None = None,
    weight: float = 1.0,
    exceeded: float = WRONG[0],
    verifier: str = "gsm8k",
    verifier_kwargs: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> dict[str, float]:
    """Score a response by a verifier's score + weight * ``cosine_length``.

    See ``api``; the parts are the verifier's, ``length``, what the length earns, and ``tokens``.

    Parameters
    ----------
    limit : int >= 1
        Tokens at which generation is cut off: '${data.max_response_length}'.
    tokenizer : str, optional
        Folder or hub name, usually '${actor_rollout_ref.model.path}'; see ``api.response_tokens``.
    weight : float >= 0, default 1.0
        What the length is worth beside the verifier's score.
    exceeded : float, default -1.0
        Reward at the limit, right or wrong.
    verifier : str, default "gsm8k"
        What says whether the response is right; one of ``api.VERIFIERS``.
    verifier_kwargs : mapping, optional
        Its own options.
    """
    options = ["limit", "tokenizer", "weight", "exceeded", "verifier", "verifier_kwargs"]
    refuse_unknown("cosine_length", kwargs, options)
    most = check_whole("reward_kwargs.limit", limit, 1)
    check_number("reward_kwargs.weight", weight, 0)
    check_number("reward_kwargs.exceeded", exceeded)
    parts = verify(verifier, verifier_kwargs, data_source, solution_str, ground_truth, extra_info)
    tokens = response_tokens(solution_str, extra_info, tokenizer)
    length = cosine_length(tokens, most, parts["acc"], exceeded=exceeded)
    score = parts["score"] + weight * length
    return {**parts, "score": score, "length": length, "tokens": float(tokens)}
