"""Exact match: the answer is the ground truth, up to how it is written."""

from __future__ import annotations

from typing import Any

from sparft_plugin.rewards.api import refuse_unknown
from sparft_plugin.rewards.equality import equal
from sparft_plugin.rewards.extract import extract_answer, read_question, read_truth


def same_answer(answer: str, truth: str, question: str | None = None) -> bool:
    """Whether an answer is the ground truth, up to notation; see ``equality.equal``."""
    return equal(answer, truth, question, lambda *_: False)


def compute_score(
    data_source: Any,
    solution_str: str,
    ground_truth: Any,
    extra_info: Any = None,
    **kwargs: Any,
) -> dict[str, float]:
    """Score a response 1 if its one answer is the ground truth, else 0.

    Parameters
    ----------
    data_source, extra_info
        Given by verl; the first is named in errors, the second may tell the question, see
        ``extract.read_question``.
    solution_str : str
        The response, without special tokens.
    ground_truth : str or number
        The answer that is wanted.

    Returns
    -------
    dict
        ``score`` and ``acc``, 0.0 or 1.0, and ``answered``, 1.0 if there is one answer.

    Raises
    ------
    SparftError
        On an unknown option, or a ground truth that is no answer.
    """
    refuse_unknown("exact", kwargs)
    answer = extract_answer(solution_str)
    truth = read_truth(ground_truth, data_source)
    right = answer is not None and same_answer(answer, truth, read_question(extra_info))
    return {"score": float(right), "acc": float(right), "answered": float(answer is not None)}
