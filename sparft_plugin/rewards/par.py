"""Preference As Reward: a bounded reward, a sigmoid of how far it is above a reference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sparft_plugin.errors import SparftError
from sparft_plugin.options import check_number
from sparft_plugin.rewards.api import reward_function, verify


def par(reward: float, references: Sequence[float], scale: float = 1.0) -> float:
    """Return the mean of sigmoid(scale * (reward - reference)) over the references, in (0, 1).

    Reward Shaping to Mitigate Reward Hacking in RLHF, https://arxiv.org/abs/2502.18770: bounded,
    steepest where a response is about as good as its references, which are the scores of responses
    to the same prompt by a reference policy; one is enough there. Beyond the paper, its release
    reads up to 10 references and takes 0.01 for each token beyond 300 before the sigmoid, which is
    not done here.
    """
    return sum(sigmoid(scale * (reward - reference)) for reference in references) / len(references)


def sigmoid(x: float) -> float:
    """Return 1 / (1 + exp(-x)), without overflow."""
    small = math.exp(-abs(x))
    return (1.0 if x >= 0 else small) / (1 + small)


@reward_function
def compute_score(
    data_source: Any,
    solution_str: str,
    ground_truth: Any,
    extra_info: Any = None,
    *,
    reference: float | None = None,
    scale: float = 1.0,
    verifier: str = "gsm8k",
    verifier_kwargs: Mapping[str, Any] | None = None,
) -> dict[str, float]:
    """Score a response by ``par`` of a verifier's score, in (0, 1).

    See ``api``; ``extra_info["reference_rewards"]`` are the prompt's own references. The parts are
    the verifier's, and ``unshaped``, its score.

    Parameters
    ----------
    reference : float, optional
        The reference of a prompt that has none of its own.
    scale : float > 0, default 1.0
        How steep the sigmoid is; the release's sigmoid_k.
    verifier, verifier_kwargs
        See ``cosine_length.compute_score``.
    """
    check_number("reward_kwargs.scale", scale, 0, open_low=True)
    own = (extra_info or {}).get("reference_rewards")
    if own is not None and len(own):
        references = [check_number("reward_kwargs.reference_rewards", value) for value in own]
    elif reference is not None:
        references = [check_number("reward_kwargs.reference", reference)]
    else:
        raise SparftError(
            "par needs rewards of reference responses; give extra_info.reference_rewards in the "
            "training file, or reward_kwargs.reference for all prompts."
        )
    parts = verify(verifier, verifier_kwargs, data_source, solution_str, ground_truth, extra_info)
    return {**parts, "score": par(parts["score"], references, scale), "unshaped": parts["score"]}
