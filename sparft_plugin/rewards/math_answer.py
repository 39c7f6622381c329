"""Answers that are equal as mathematics, by math-verify in a process with a time limit."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from sparft_plugin.options import check_number
from sparft_plugin.rewards.api import reward_function
from sparft_plugin.rewards.exact import equal
from sparft_plugin.rewards.extract import extract_answer, read_question, read_truth
from sparft_plugin.rewards.math_process import JUDGE, Verdict

SECONDS = 0.6
MOST_QUESTIONS = 32
"""Comparisons by algebra that one answer may cost, as a list in another order does."""

COMMAND = re.compile(r"\\[A-Za-z]+")
# What an answer may use that the truth does not; anything else is work undone, or hides a part.
FREE = set(COMMAND.findall(r"\frac\sqrt\pi\cdot\div\pm\infty\cup\cap\theta\ldots"))
FUNCTIONS = set(COMMAND.findall(r"\sin\cos\tan\cot\sec\csc"))
WORD = re.compile(r"[A-Za-z]{2,}")
LETTER = re.compile(r"[A-Za-z]")
SUBSCRIPT = re.compile(r"_\{[^{}]*\}")
RELATION = re.compile(r"\\(?:ne|le|ge|approx|equiv|sim|in|to|pm|mp)(?![A-Za-z])|[=<>:]")
PROSE = re.compile(r"[A-Za-z]{2} [A-Za-z]|[A-Za-z] [A-Za-z]{2}")
ADJACENT = re.compile(r"[0-9.] +[0-9.]")


class Algebra:
    """Asks math-verify about the values of one answer, and no more after one that overruns."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.finished = True
        self.asked = 0

    def __call__(self, answer: str, truth: str) -> bool:
        """Whether a value is ``comparable`` and math-verify finds it equal to the truth."""
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

    What is written alike is decided by ``exact.equal``, and so are numbers in digits: an expression
    that evaluates to one leaves the work undone. What is left is compared by math-verify, in exact
    arithmetic: a decimal is no substitute for an exact truth. A comparison that takes longer than
    `seconds` is wrong and not ``finished``.
    """
    algebra = Algebra(seconds)
    right = answer is not None and equal(answer, truth, question, algebra)
    return Verdict(right, right or algebra.finished)


@reward_function
def compute_score(
    data_source: Any,
    solution_str: str,
    ground_truth: Any,
    extra_info: Any = None,
    *,
    seconds: float = SECONDS,
) -> dict[str, float]:
    """Score a response 1 if its one answer equals the ground truth as mathematics, else 0.

    See ``api``; the part is ``overtime``, 1.0 if the time limit ended the comparison. Without
    math-verify it is a SparftError.

    Parameters
    ----------
    seconds : float > 0, default 0.6
        Time limit of one comparison.
    """
    answer = extract_answer(solution_str)
    verdict = judge(
        answer,
        read_truth(ground_truth, data_source),
        check_number("reward_kwargs.seconds", seconds, 0, open_low=True),
        read_question(extra_info),
    )
    return {
        "score": float(verdict.equal),
        "acc": float(verdict.equal),
        "answered": float(answer is not None),
        "overtime": float(not verdict.finished),
    }


def comparable(answer: str, truth: str) -> bool:
    """Whether algebra may be asked if a value is the truth's, both as `canonical` spells them.

    Algebra systems read generously: "4 = 5" is 5, "3 2" is 5, "listen" and "silent" are the same
    product of letters, 12_3 is 12, and an integral that nobody solved equals its value. Each rule
    refuses one such reading; it may refuse an odd spelling of a right answer, never pass a wrong
    one.
    """
    used, known = (set(COMMAND.findall(text)) for text in (answer, truth))
    free = FREE | known | (FUNCTIONS if FUNCTIONS & known else set())
    return (
        # A $ would begin another formula, and a prime is read as nothing.
        not any(sign in answer for sign in "$'!" if sign not in truth)
        and answer.isascii()
        and used <= free
        and not PROSE.search(COMMAND.sub("#", truth))
        and Counter(RELATION.findall(answer)) == Counter(RELATION.findall(truth))
        and Counter(WORD.findall(bare(answer))) == Counter(WORD.findall(bare(truth)))
        and set(LETTER.findall(bare(answer))) <= set(LETTER.findall(bare(truth)))
        and Counter(SUBSCRIPT.findall(answer)) == Counter(SUBSCRIPT.findall(truth))
        and not ADJACENT.search(answer)
        and ("." not in answer or "." in truth)
        and answer.count(",") == truth.count(",")
    )


def bare(text: str) -> str:
    """Return a text without its commands, so that only its letters are words."""
    return COMMAND.sub(" ", text)
