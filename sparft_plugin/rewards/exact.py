"""Exact match: the answer is the ground truth, up to how it is written."""

from __future__ import annotations

import re
from typing import Any

from sparft_plugin.rewards.answers import extract_answer
from sparft_plugin.rewards.options import refuse_unknown
from sparft_plugin.rewards.plain_number import parse_number, same_number
from sparft_plugin.rewards.truth import read_truth

WORD = re.compile(r"[A-Za-z]{2}")
TEXT = re.compile(r"\\(?:text|textbf|textrm|mathrm|mbox)\{([^{}\\$]*)\}")


def same_answer(answer: str, truth: str) -> bool:
    r"""Whether an answer equals the ground truth.

    Numbers are compared by value (1,000 is 1000.0, see ``plain_number``); everything else letter
    for letter, apart from runs of white space, a ``\text{}`` around it and, where the truth is
    words in ASCII without LaTeX, upper and lower case.

    Parameters
    ----------
    answer, truth : str
        As ``extract_answer`` and ``read_truth`` return them.
    """
    if (number := parse_number(truth)) is not None:
        given = parse_number(answer)
        return given is not None and same_number(given, number)
    return normalize(answer, truth) == normalize(truth, truth)


def normalize(text: str, truth: str) -> str:
    """Bring a text to the form in which it is compared with a truth."""
    text, truth = plain_text(text), plain_text(truth)
    words = truth.isascii() and text.isascii() and "\\" not in truth and WORD.search(truth)
    return text.lower() if words else text


def plain_text(text: str) -> str:
    r"""Return a text with single blanks, and without the ``\text{}`` that is all around it."""
    match = TEXT.fullmatch(text.strip())
    return " ".join((match.group(1) if match else text).split())


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
        Given by verl; the first is named in errors, the second is not used.
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
    right = answer is not None and same_answer(answer, read_truth(ground_truth, data_source))
    return {"score": float(right), "acc": float(right), "answered": float(answer is not None)}
