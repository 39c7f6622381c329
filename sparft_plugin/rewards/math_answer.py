"""Answers that are equal as mathematics, by math-verify in a process with a time limit."""

from __future__ import annotations

from typing import Any

from sparft_plugin.rewards.answers import extract_answer
from sparft_plugin.rewards.exact import same_answer
from sparft_plugin.rewards.math_process import JUDGE, Verdict
from sparft_plugin.rewards.math_rules import comparable
from sparft_plugin.rewards.options import check_number, refuse_unknown
from sparft_plugin.rewards.plain_number import parse_number
from sparft_plugin.rewards.truth import read_truth

SECONDS = 0.6


def judge(answer: str | None, truth: str, seconds: float = SECONDS) -> Verdict:
    """Decide whether an answer equals the truth.

    An exact match is right. Where the truth is a number in digits, nothing else is: an expression
    that evaluates to it leaves the work undone. What is left must pass ``math_rules`` and is
    compared by math-verify, in exact arithmetic: a decimal is no substitute for an exact truth.

    Parameters
    ----------
    answer : str or None
        As ``extract_answer`` returns it; None is wrong.
    truth : str
        As ``read_truth`` returns it.
    seconds : float > 0, default 0.6
        Time limit of math-verify's part; what exceeds it is wrong and not ``finished``.
    """
    if answer is None:
        return Verdict(False, True)
    if same_answer(answer, truth):
        return Verdict(True, True)
    if (pair := comparable(answer, truth)) is None:
        return Verdict(False, True)
    answer, truth = pair
    if parse_number(truth) is not None or same_answer(answer, truth):
        return Verdict(same_answer(answer, truth), True)
    return JUDGE.compare(truth, answer, seconds)


def compute_score(
    data_source: Any,
    solution_str: str,
    ground_truth: Any,
    extra_info: Any = None,
    *,
    seconds: float = SECONDS,
    **kwargs: Any,
) -> dict[str, float]:
    """Score a response 1 if its one answer equals the ground truth as mathematics, else 0.

    Parameters
    ----------
    data_source, extra_info
        Given by verl; the first is named in errors, the second is not used.
    solution_str : str
        The response, without special tokens.
    ground_truth : str or number
        The answer that is wanted, in LaTeX or digits.
    seconds : float > 0, default 0.6
        Time limit of one comparison.

    Returns
    -------
    dict
        ``score`` and ``acc``, 0.0 or 1.0; ``answered``, 1.0 if there is one answer; ``overtime``,
        1.0 if the limit ended the comparison.

    Raises
    ------
    SparftError
        On an unknown option, a ground truth that is no answer, or without math-verify.
    """
    refuse_unknown("math_answer", kwargs, ["seconds"])
    answer = extract_answer(solution_str)
    verdict = judge(
        answer,
        read_truth(ground_truth, data_source),
        check_number("seconds", seconds, 0, above=True),
    )
    return {
        "score": float(verdict.equal),
        "acc": float(verdict.equal),
        "answered": float(answer is not None),
        "overtime": float(not verdict.finished),
    }
