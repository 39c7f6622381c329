"""Memory-R's reward on GSM8K: correctness, format and integer answer."""

from __future__ import annotations

from typing import Any

from sparft_plugin.rewards.api import check_number, refuse_unknown
from sparft_plugin.rewards.exact import same_answer
from sparft_plugin.rewards.extract import extract_answer, read_question, read_truth
from sparft_plugin.rewards.layout import format_rate, is_integer


def compute_score(
    data_source: Any,
    solution_str: str,
    ground_truth: Any,
    extra_info: Any = None,
    *,
    format_weight: float = 1.0,
    integer_weight: float = 0.5,
    **kwargs: Any,
) -> dict[str, float]:
    """Score a response by accuracy + format_weight * format + integer_weight * integer.

    Memory-R, https://arxiv.org/abs/2504.02273, with the weights of its release: 1 for the right
    answer, 0.5 for each of the two formats, 0.5 for an integer. The release's reward per tag,
    worth 0.5 in all, is left out: the soft format wants the same tags.

    Parameters
    ----------
    data_source, extra_info
        Given by verl; the first is named in errors, the second may tell the question, see
        ``extract.read_question``.
    solution_str : str
        The response, without special tokens.
    ground_truth : str or number
        The answer that is wanted.
    format_weight : float >= 0, default 1.0
        What the whole format is worth.
    integer_weight : float >= 0, default 0.5
        What an answer that is an integer is worth, right or not.

    Returns
    -------
    dict
        ``score``; ``acc``, 0.0 or 1.0; ``answered``, 1.0 if there is one answer; ``format``, 0,
        0.5 or 1; ``integer``, 0.0 or 1.0. The parts are not weighted.

    Raises
    ------
    SparftError
        On an unknown option, a bad weight, or a ground truth that is no answer.
    """
    refuse_unknown("gsm8k", kwargs, ["format_weight", "integer_weight"])
    check_number("format_weight", format_weight, 0)
    check_number("integer_weight", integer_weight, 0)
    answer = extract_answer(solution_str)
    truth = read_truth(ground_truth, data_source)
    question = read_question(extra_info)
    right = float(answer is not None and same_answer(answer, truth, question))
    layout, integer = format_rate(solution_str), float(is_integer(answer))
    return {
        "score": right + format_weight * layout + integer_weight * integer,
        "acc": right,
        "answered": float(answer is not None),
        "format": layout,
        "integer": integer,
    }
