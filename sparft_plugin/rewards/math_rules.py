r"""What an answer in LaTeX may be before a computer algebra system is asked about it.

Algebra systems read generously: "4 = 5" is 5, "3 2" is 5, "listen" and "silent" are the same
product of letters, 12_3 is 12, and an integral that nobody solved equals its value. Each rule here
refuses one such reading. They may refuse an odd spelling of a right answer, never pass a wrong one.
"""

from __future__ import annotations

import re
from collections import Counter

from sparft_plugin.rewards.plain_number import SEPARATORS, parse_number, split_unit

COMMAND = re.compile(r"\\[A-Za-z]+")
WORD = re.compile(r"[A-Za-z]{2,}")
LETTER = re.compile(r"[A-Za-z]")
SUBSCRIPT = re.compile(r"_ ?(?:\{[^{}]*\}|[A-Za-z0-9\\])")
NAMED = re.compile(
    r"([A-Za-z](?:_\{?[A-Za-z0-9]\}?)?(?:\([A-Za-z]\))?) ?(?:=|\\in(?![A-Za-z])) ?(.+)"
)
RELATION = re.compile(r"\\(?:neq?|leq?|geq?|approx|equiv|sim|in|to|pm|mp)(?![A-Za-z])|[=<>:]")
ADJACENT = re.compile(r"[0-9.] +[0-9.]")
SPACE = re.compile(r"(?<!\\)\\[,;:! ]|~")
OPENERS = {"(": "(", "[": "[", "|": "|"}


def comparable(answer: str, truth: str) -> tuple[str, str] | None:
    """Return answer and truth ready to be compared by algebra, or None: the answer is wrong.

    Parameters
    ----------
    answer, truth : str
        As ``extract_answer`` and ``read_truth`` return them.

    Returns
    -------
    (str, str) or None
        Both without the name before "=" and without a unit.
    """
    answer_name, answer = split_name(tidy(answer))
    truth_name, truth = split_name(tidy(truth))
    answer, answer_unit = split_unit(answer)
    truth, truth_unit = split_unit(truth)
    fits = (
        # A $ would begin another formula, and a prime is read as nothing.
        not any(sign in answer for sign in "$'" if sign not in truth)
        and (answer_name == truth_name or None in (answer_name, truth_name))
        and (answer_unit == truth_unit or "" in (answer_unit, truth_unit))
        and Counter(RELATION.findall(answer)) == Counter(RELATION.findall(truth))
        and not split_unit(answer)[1]
        and Counter(WORD.findall(bare(answer))) == Counter(WORD.findall(bare(truth)))
        and set(LETTER.findall(bare(answer))) <= set(LETTER.findall(bare(truth)))
        and Counter(SUBSCRIPT.findall(answer)) == Counter(SUBSCRIPT.findall(truth))
        and not ADJACENT.search(answer)
        and ("." not in answer or "." in truth or parse_number(truth) is not None)
        and shape(answer) == shape(truth)
    )
    return (answer, truth) if fits else None


def tidy(text: str) -> str:
    """Drop sizes, thousands separators, and spaces beyond one."""
    text = re.sub(r"\\(?:left|right|displaystyle|bigl?|bigr|Bigl?|Bigr)(?![A-Za-z])", "", text)
    text = re.sub(r"\\(?:dfrac|tfrac)(?![A-Za-z])", r"\\frac", text)
    text = SPACE.sub(" ", SEPARATORS.sub("", text))
    return " ".join(text.split())


def split_name(text: str) -> tuple[str | None, str]:
    r"""Separate "x =", "f(x) =" or "x \in" from what follows; without one the name is None."""
    match = NAMED.fullmatch(text)
    return (match.group(1), match.group(2)) if match else (None, text)


def bare(text: str) -> str:
    """Return a text without its commands, so that only its letters are words."""
    return COMMAND.sub(" ", text)


def shape(text: str) -> tuple[int, str]:
    r"""Count the commas and name the outer brackets, where commas make them matter.

    (1, 2) is a point or an interval, {1, 2} and 1, 2 are sets: the same numbers, other answers.
    """
    commas = text.count(",")
    if not commas:
        return 0, ""
    if text.startswith((r"\begin", r"\{")):
        return commas, ""
    return commas, OPENERS.get(text[:1], "") + (text[-1:] if text[-1:] in ")]|" else "")
