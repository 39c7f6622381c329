r"""What an answer in LaTeX may be before a computer algebra system is asked about it.

Algebra systems read generously: "4 = 5" is 5, "3 2" is 5, "listen" and "silent" are the same
product of letters, 12_3 is 12, and an integral that nobody solved equals its value. Each rule here
refuses one such reading. They may refuse an odd spelling of a right answer, never pass a wrong one.
"""

from __future__ import annotations

import re
from collections import Counter

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


def comparable(answer: str, truth: str) -> bool:
    """Whether algebra may be asked if an answer is the truth.

    Parameters
    ----------
    answer, truth : str
        One value each, without name and unit, as ``notation.canonical`` spells it.
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
