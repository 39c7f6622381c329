"""Whether an answer leaves undone what its question asks for."""

from __future__ import annotations

import re
from functools import lru_cache

from sparft_plugin.rewards.notation import canonical, clean, spell, split_top
from sparft_plugin.rewards.plain_number import parse_number
from sparft_plugin.rewards.structure import name_of
from sparft_plugin.rewards.units import split_unit

LONGEST_QUESTION = 20_000
FORMULA = re.compile(r"\$+|\\[()\[\]]")
FACTOR = re.compile(r"\([^(),]+[+-][^(),]+\)")
PRODUCTS = re.compile(r"\bfactor|expand|multiply out", re.IGNORECASE)
ROOTS = re.compile(r"rational|simpl", re.IGNORECASE)
ROOT_BELOW = re.compile(r"\\frac\{.*\}\{[^{}]*\\sqrt")


def undone(answer: str, truth: str, question: str | None) -> bool:
    """Whether an answer is what the question states, and the truth is what becomes of it.

    It is if its spelling stands in the question and the truth's does not. A question for factors,
    for a product multiplied out or for a rational denominator also wants the truth's shape. Where
    the question is not known, a truth in factors wants factors.

    Parameters
    ----------
    answer, truth : str
        As ``notation.clean`` returns them.
    question : str or None
        What the row asks, if it is known.
    """
    values = [split_unit(name_of(text)[1]).text for text in (answer, truth)]
    numbers = [parse_number(value) for value in values]
    if all(number and number.form == "decimal" for number in numbers):
        return False
    given, wanted = (canonical(value).replace(r"\cdot", "") for value in values)
    if given == wanted:
        return False
    if question is None:
        return factored(wanted) and not factored(given)
    if PRODUCTS.search(question) and factored(given) != factored(wanted):
        return True
    if ROOTS.search(question) and bool(ROOT_BELOW.search(given)) and not ROOT_BELOW.search(wanted):
        return True
    stated = stated_in(question[:LONGEST_QUESTION])
    return stands(given, stated) and not stands(wanted, stated)


def factored(value: str) -> bool:
    """Whether a value is a product with a sum among its factors."""
    return FACTOR.search(value) is not None and len(split_top(value.lstrip("-"), "+-")) == 1


@lru_cache(maxsize=256)
def stated_in(question: str) -> str:
    """Return a question with its formulas spelled like answers."""
    text = FORMULA.sub(" | ", question)
    return " ".join(spell(clean(text)).replace(r"\cdot", " ").split())


def stands(value: str, stated: str) -> bool:
    """Whether a value stands in a question, and not as a piece of a longer word or number."""
    found = " ?".join(map(re.escape, value))
    return re.search(rf"(?<![A-Za-z0-9.\\^_]){found}(?![A-Za-z0-9^_]|\.[0-9])", stated) is not None
