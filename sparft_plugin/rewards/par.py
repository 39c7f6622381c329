"""Preference As Reward: a bounded reward, a sigmoid of how far it is above a reference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sparft_plugin.errors import SparftError
from sparft_plugin.options import check_number
from sparft_plugin.rewards.api import refuse_unknown, verify


def par(reward: float, references: Sequence[float]) -> float:
    """Return the mean of sigmoid(reward - reference) over the references, in (0, 1).

    Reward Shaping to Mitigate Reward Hacking in RLHF, https://arxiv.org/abs/2502.18770: bounded,
    steepest where a response is about as good as its references, which are the scores of responses
    to the same prompt by a reference policy. One is enough there.
    """
    return sum(sigmoid(reward - reference) for reference in references) / len(references)


def sigmoid(x: float) -> float:
    """Return 1 / (1 + exp(-x)), without overflow."""
    small = math.exp(-abs(x))
    return (1.0 if x >= 0 else small) / (1 + small)


def compute_score(
    data_source: Any,
    solution_str: str,
    ground_truth: Any,
    extra_info: Any = None,
    *,
    reference: float | None = None,
    verifier: str = "gsm8k",
    verifier_kwargs: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> dict[str, float]:
    """Score a response by ``par`` of a verifier's score, in (0, 1).

    See ``api``; ``extra_info["reference_rewards"]`` are the prompt's own references. The parts are
    the verifier's, and ``unshaped``, its score.

    Parameters
    ----------
    reference : float, optional
        The reference of a prompt that has none of its own.
    verifier, verifier_kwargs
        See ``cosine_length.compute_score``.
    """
    refuse_unknown("par", kwargs, ["reference", "verifier", "verifier_kwargs"])
    references = reference_rewards(extra_info, reference)
    parts = verify(verifier, verifier_kwargs, data_source, solution_str, ground_truth, extra_info)
    return {**parts, "score": par(parts["score"], references), "unshaped": parts["score"]}


def reference_rewards(
    extra_info: Mapping[str, Any] | None, reference: float | None
) -> Sequence[float]:
    """Return the references of a prompt: its own, or the one for all."""
    own = (extra_info or {}).get("reference_rewards")
    if own is not None and len(own):
        return [check_number("reward_kwargs.reference_rewards", value) for value in own]
    if reference is None:
        raise SparftError(
            "par needs rewards of reference responses; give extra_info.reference_rewards in the "
            "training file, or reward_kwargs.reference for all prompts."
        )
    return [check_number("reward_kwargs.reference", reference)]
