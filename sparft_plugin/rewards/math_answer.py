"""Answers that are equal as mathematics, by math-verify in a process with a time limit."""

from __future__ import annotations

from typing import Any

from sparft_plugin.rewards.api import check_number, refuse_unknown
from sparft_plugin.rewards.equality import equal
from sparft_plugin.rewards.extract import extract_answer, read_question, read_truth
from sparft_plugin.rewards.math_process import JUDGE, Verdict
from sparft_plugin.rewards.math_rules import comparable

SECONDS = 0.6
MOST_QUESTIONS = 32
"""Comparisons by algebra that one answer may cost, as a list in another order does."""


class Algebra:
    """Asks math-verify about the values of one answer, within a time limit for each.

    Parameters
    ----------
    seconds : float > 0
        Time limit of one comparison; after one that exceeds it no other is asked.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.finished = True
        self.asked = 0

    def __call__(self, answer: str, truth: str) -> bool:
        """Whether a value passes ``math_rules`` and math-verify finds it equal to the truth."""
        if not self.finished or self.asked == MOST_QUESTIONS or not comparable(answer, truth):
            return False
        self.asked += 1
        verdict = JUDGE.compare(truth, answer, self.seconds)
        self.finished = verdict.finished
        return verdict.equal


def judge(
    answer: str | None, truth: str, seconds: float = SECONDS, question: str | None = None
) -> Verdict:
    """Decide whether an answer equals the truth.

    What is written alike is decided by ``equality``, and so are numbers in digits: an expression
    that evaluates to one leaves the work undone. What is left is compared by math-verify, in exact
    arithmetic: a decimal is no substitute for an exact truth.

    Parameters
    ----------
    answer : str or None
        As ``extract_answer`` returns it; None is wrong.
    truth : str
        As ``read_truth`` returns it.
    seconds : float > 0, default 0.6
        Time limit of math-verify's part; what exceeds it is wrong and not ``finished``.
    question : str, optional
        What the row asks.
    """
    algebra = Algebra(seconds)
    right = answer is not None and equal(answer, truth, question, algebra)
    return Verdict(right, right or algebra.finished)


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
        Given by verl; the first is named in errors, the second may tell the question, see
        ``extract.read_question``.
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
        read_question(extra_info),
    )
    return {
        "score": float(verdict.equal),
        "acc": float(verdict.equal),
        "answered": float(answer is not None),
        "overtime": float(not verdict.finished),
    }
