"""Preference As Reward: a bounded reward, a sigmoid of how far it is above a reference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sparft_plugin.errors import SparftError
from sparft_plugin.rewards.api import check_number, refuse_unknown, verify


def par(reward: float, references: Sequence[float]) -> float:
    """Return the mean of sigmoid(reward - reference) over the references, in (0, 1).

    Reward Shaping to Mitigate Reward Hacking in RLHF, https://arxiv.org/abs/2502.18770: bounded,
    steepest where a response is about as good as its references. One reference is enough there.

    Parameters
    ----------
    reward : float
        Score of the response.
    references : sequence of float, not empty
        Scores of other responses to the same prompt, by a reference policy.
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
    """Score a response by ``par`` of a verifier's score.

    Parameters
    ----------
    data_source, solution_str, ground_truth, extra_info
        As verl gives them; ``extra_info["reference_rewards"]`` are the prompt's own references.
    reference : float, optional
        The reference of a prompt that has none of its own.
    verifier, verifier_kwargs
        See ``cosine_length.compute_score``.

    Returns
    -------
    dict
        The verifier's parts, with ``unshaped``, its score, and ``score`` in (0, 1).

    Raises
    ------
    SparftError
        On an unknown or bad option, or where a prompt has no reference.
    """
    refuse_unknown("par", kwargs, ["reference", "verifier", "verifier_kwargs"])
    references = reference_rewards(extra_info, reference)
    parts = verify(verifier, verifier_kwargs, data_source, solution_str, ground_truth, extra_info)
    return {**parts, "score": par(parts["score"], references), "unshaped": parts["score"]}


def reference_rewards(
    extra_info: Mapping[str, Any] | None, reference: float | None
) -> Sequence[float]:
    """Return the references of a prompt: its own, or the one for all.

    Raises
    ------
    SparftError
        If there is none, or one is no finite number.
    """
    own = (extra_info or {}).get("reference_rewards")
    if own is not None and len(own):
        return [check_number("reference_rewards", value) for value in own]
    if reference is None:
        raise SparftError(
            "par needs rewards of reference responses; give extra_info.reference_rewards in the "
            "training file, or reward_kwargs.reference for all prompts."
        )
    return [check_number("reference", reference)]
