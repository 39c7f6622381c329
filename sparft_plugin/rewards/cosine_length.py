"""Cosine length reward: short when right, long when wrong, nothing for running to the limit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sparft_plugin.errors import require
from sparft_plugin.options import check_number, check_whole
from sparft_plugin.rewards.api import response_tokens, reward_function, verify

RIGHT, WRONG = (1.0, 0.5), (-1.0, -0.5)


def cosine_length(
    tokens: int,
    limit: int,
    accuracy: float,
    right: Sequence[float] = RIGHT,
    wrong: Sequence[float] = WRONG,
    exceeded: float = WRONG[0],
) -> float:
    """Return the reward for the length n of a response, in tokens, generation ending at L.

        r(n) = r_L + (r_0 - r_L) (1 + cos(pi n / L)) / 2   for n < L,   exceeded for n >= L

    (r_0, r_L) is `right` at `accuracy` 1, `wrong` at 0, and linear in between. Demystifying Long
    Chain-of-Thought, https://arxiv.org/abs/2502.03373, whose values are (2, 1), (-10, 0) and -10;
    the defaults are those of the "Cosine" baseline in Memory-R's release, which divides characters
    by a token limit, so that its cosine comes round again. The paper's release cuts at L - 16
    instead of L, and has a repetition penalty, which is not here.
    """
    if tokens >= limit:
        return exceeded
    fade = (1 + math.cos(math.pi * tokens / limit)) / 2
    short, long = (accuracy * r + (1 - accuracy) * w for r, w in zip(right, wrong, strict=True))
    return long + (short - long) * fade


@reward_function
def compute_score(
    data_source: Any,
    solution_str: str,
    ground_truth: Any,
    extra_info: Any = None,
    *,
    limit: int | None = None,
    tokenizer: str | None = None,
    weight: float = 1.0,
    right: Sequence[float] = RIGHT,
    wrong: Sequence[float] = WRONG,
    exceeded: float = WRONG[0],
    verifier: str = "gsm8k",
    verifier_kwargs: Mapping[str, Any] | None = None,
) -> dict[str, float]:
    """Score a response by a verifier's score + weight * ``cosine_length``.

    See ``api``; the parts are the verifier's, ``length``, what the length earns, and ``tokens``.
    The paper's release pays the length instead of the verifier's score, not beside it.

    Parameters
    ----------
    limit : int >= 1
        Tokens at which generation is cut off: '${data.max_response_length}'.
    tokenizer : str, optional
        Folder or hub name, usually '${actor_rollout_ref.model.path}'; see ``api.response_tokens``.
    weight : float >= 0, default 1.0
        What the length is worth beside the verifier's score.
    right, wrong : two floats each, default (1.0, 0.5) and (-1.0, -0.5)
        Reward of no tokens and reward just below the limit, of a right and of a wrong response.
    exceeded : float, default -1.0
        Reward at the limit, right or wrong.
    verifier : str, default "gsm8k"
        What says whether the response is right; one of ``api.VERIFIERS``.
    verifier_kwargs : mapping, optional
        Its own options.
    """
    most = check_whole("reward_kwargs.limit", limit, 1)
    check_number("reward_kwargs.weight", weight, 0)
    ends = check_pair("right", right), check_pair("wrong", wrong)
    check_number("reward_kwargs.exceeded", exceeded)
    parts = verify(verifier, verifier_kwargs, data_source, solution_str, ground_truth, extra_info)
    tokens = response_tokens(solution_str, extra_info, tokenizer)
    length = cosine_length(tokens, most, parts["acc"], *ends, exceeded)
    score = parts["score"] + weight * length
    return {**parts, "score": score, "length": length, "tokens": float(tokens)}


def check_pair(name: str, pair: Any) -> list[float]:
    """Return an option's two finite numbers; anything else is a SparftError."""
    require(
        isinstance(pair, Sequence) and not isinstance(pair, str) and len(pair) == 2,
        f"reward_kwargs.{name} must be two numbers, the reward of no tokens and that at the limit, "
        f"not {pair!r}.",
    )
    return [check_number(f"reward_kwargs.{name}", value) for value in pair]
