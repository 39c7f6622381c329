r"""Exact match: the answer is the ground truth, up to how it is written.

Comparing structures first keeps what an algebra system loses: that x=2, y=1 is not x=1, y=2, that
(1, 2) is not {1, 2}, and that 5 cm is not 5 km.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from sparft_plugin.rewards.api import reward_function
from sparft_plugin.rewards.extract import extract_answer, read_question, read_truth
from sparft_plugin.rewards.notation import canonical, clean, outer, parse_number, spell, split_top
from sparft_plugin.rewards.structure import (
    Range,
    name_of,
    read,
    read_matrix,
    read_ranges,
    same_unit,
    split_unit,
)

COMMAND = re.compile(r"\\[A-Za-z]+")
WORD = re.compile(r"[A-Za-z]{2}")
OPTION = re.compile(r"\(?([A-Ea-e])\)?")
INTERVAL = re.compile(r"interval|inequalit|range|domain|solution set|set of|all (?:real|values|x)")
EQUATION = re.compile(r"^(?!.*\bsolve).*\b(?:equation|line|circle|parabola|plane|curve)\b", re.S)

LONGEST_QUESTION = 20_000
FORMULA = re.compile(r"\$+|\\[()\[\]]")
FACTOR = re.compile(r"\([^(),]+[+-][^(),]+\)")
PRODUCTS = re.compile(r"\bfactor|expand|multiply out", re.IGNORECASE)
ROOTS = re.compile(r"rational|simpl", re.IGNORECASE)
ROOT_BELOW = re.compile(r"\\frac\{.*\}\{[^{}]*\\sqrt")

T = TypeVar("T")
Algebra = Callable[[str, str], bool]
"""Whether an answer equals a truth as mathematics; both are one value, in canonical spelling."""


@reward_function
def compute_score(
    data_source: Any, solution_str: str, ground_truth: Any, extra_info: Any = None
) -> dict[str, float]:
    """Score a response 1 if its one answer is the ground truth, else 0; see ``api``."""
    answer = extract_answer(solution_str)
    truth = read_truth(ground_truth, data_source)
    right = answer is not None and same_answer(answer, truth, read_question(extra_info))
    return {"score": float(right), "acc": float(right), "answered": float(answer is not None)}


def same_answer(answer: str, truth: str, question: str | None = None) -> bool:
    """Whether an answer is the ground truth, up to notation; see ``equal``."""
    return equal(answer, truth, question, lambda *_: False)


def equal(answer: str, truth: str, question: str | None, algebra: Algebra) -> bool:
    """Whether an answer is the truth that is wanted, as ``extract`` returns them.

    Algebra is asked about two values that are not written alike and are no numbers.
    """
    if same_words(canonical(answer), canonical(truth)):
        return True
    answer, truth = clean(answer), clean(truth)
    given, wanted = OPTION.fullmatch(answer), OPTION.fullmatch(truth)
    if given and wanted:
        return same_option(given[1], wanted[1], "(" in truth, question)
    if undone(answer, truth, question):
        return False
    comparison = Comparison(question, algebra)
    return comparison.same(answer, truth) or comparison.same_equation(answer, truth)


def same_words(answer: str, truth: str) -> bool:
    """Whether two canonical texts are one; words without LaTeX in any case."""
    words = truth.isascii() and answer.isascii() and "\\" not in truth and WORD.search(truth)
    return answer.lower() == truth.lower() if words else answer == truth


def same_option(answer: str, truth: str, marked: bool, question: str | None) -> bool:
    """Whether two letters choose the same option; b is B unless a known question has no options."""
    options = marked or question is None or re.search(rf"\b{truth}\b ?[).:}}]", question)
    return answer == truth or bool(options and answer.upper() == truth)


class Comparison:
    """Compares the parts of answers to one question."""

    def __init__(self, question: str | None, algebra: Algebra) -> None:
        self.question = question
        self.algebra = algebra

    def same(self, answer: str, truth: str) -> bool:
        """Whether two clean texts are the same answer."""
        if (ranges := self.same_ranges(answer, truth)) is not None:
            return ranges
        given, wanted = read(answer), read(truth)
        if len(given.parts) != len(wanted.parts):
            return False
        kinds = {given.kind, wanted.kind}
        if kinds == {"named"}:
            values = dict(zip(given.names, given.parts, strict=True))
            ordered = [values[name] for name in wanted.names if name in values]
            return self.all_same(ordered, wanted.parts)
        if kinds == {"named", "()"}:
            # A point's coordinates have no names, so only the usual order tells them.
            names = given.names + wanted.names
            return names == sorted(names) and self.all_same(given.parts, wanted.parts)
        if given.names and wanted.names and given.names != wanted.names:
            return False
        if kinds <= {"list", "set"}:
            return paired(given.parts, wanted.parts, self.same_value)
        if kinds == {"value"}:
            return self.same_value(given.parts[0], wanted.parts[0], whole=True)
        return len(kinds) == 1 and self.all_same(given.parts, wanted.parts)

    def same_ranges(self, answer: str, truth: str) -> bool | None:
        """Whether two texts say the same intervals; None if they are not both to be read so."""
        given, wanted = read_ranges(answer), read_ranges(truth)
        if given is None or wanted is None or (given.point and wanted.point):
            return None
        if wanted.point and not INTERVAL.search((self.question or "").lower()):
            return False
        if given.name and wanted.name and given.name != wanted.name:
            return False
        return paired(given.parts, wanted.parts, self.same_range)

    def same_equation(self, answer: str, truth: str) -> bool:
        """Whether two texts are one equation of several variables that a question asks for."""
        sides = [text.split("=") for text in (answer, truth)]
        variables = set(re.findall("[A-Za-z]", COMMAND.sub("", truth)))
        asked = EQUATION.search((self.question or "").lower())
        if not asked or len(variables) < 2 or any(len(pair) != 2 for pair in sides):
            return False
        (left, right), wanted = sides[0], canonical("{}-({})".format(*sides[1]))
        differences = f"{left}-({right})", f"{right}-({left})"
        return any(self.algebra(canonical(difference), wanted) for difference in differences)

    def same_range(self, answer: Range, truth: Range) -> bool:
        """Whether two ranges have the same ends."""
        closed = (answer.low_closed, answer.high_closed) == (truth.low_closed, truth.high_closed)
        return closed and self.all_same((answer.low, answer.high), (truth.low, truth.high))

    def all_same(self, answers: Sequence[str], truths: Sequence[str]) -> bool:
        """Whether values are the same in order."""
        return len(answers) == len(truths) and all(map(self.same_value, answers, truths))

    def same_value(self, answer: str, truth: str, whole: bool = False) -> bool:
        """Whether two clean texts are the same value; as a whole answer, 4/2 is no 2."""
        if not whole and all(read(text).kind[0] in "([" for text in (answer, truth)):
            return self.same(answer, truth)
        cells, wanted_cells = read_matrix(answer), read_matrix(truth)
        if cells is not None and wanted_cells is not None:
            return len(cells) == len(wanted_cells) and all(map(self.all_same, cells, wanted_cells))
        given, wanted = split_unit(outer(answer), self.question), split_unit(outer(truth))
        if not same_unit(given, wanted, self.question):
            return False
        if (number := parse_number(wanted.text)) is not None:
            written = parse_number(given.text)
            undivided = whole and number.value.denominator == 1
            if written is None or (undivided and written.form == "fraction"):
                return False
            return written.value == number.value
        answer, truth = canonical(given.text), canonical(wanted.text)
        return same_words(answer, truth) or self.algebra(answer, truth)


def paired(given: Sequence[T], wanted: Sequence[T], same: Callable[[T, T], bool]) -> bool:
    """Whether two collections hold the same in any order."""
    left = list(given)
    for part in wanted:
        found = next((other for other in left if same(other, part)), None)
        if found is None:
            return False
        left.remove(found)
    return not left


def undone(answer: str, truth: str, question: str | None) -> bool:
    """Whether a clean answer is what the question states, and the truth what becomes of it.

    It is if its spelling stands in the question and the truth's does not. A question for factors,
    for a product multiplied out or for a rational denominator also wants the truth's shape. Where
    the question is not known, a truth in factors wants factors.
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
    if ROOTS.search(question) and ROOT_BELOW.search(given) and not ROOT_BELOW.search(wanted):
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
