r"""Whether an answer is the truth, part by part.

Comparing structures first keeps what an algebra system loses: that x=2, y=1 is not x=1, y=2, that
(1, 2) is not {1, 2}, and that 5 cm is not 5 km.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from sparft_plugin.rewards.notation import canonical, clean, outer
from sparft_plugin.rewards.plain_number import parse_number
from sparft_plugin.rewards.structure import Range, read, read_matrix, read_ranges
from sparft_plugin.rewards.undone import undone
from sparft_plugin.rewards.units import same_unit, split_unit

COMMAND = re.compile(r"\\[A-Za-z]+")
WORD = re.compile(r"[A-Za-z]{2}")
OPTION = re.compile(r"\(?([A-Ea-e])\)?")
INTERVAL = re.compile(r"interval|inequalit|range|domain|solution set|set of|all (?:real|values|x)")

EQUATION = re.compile(r"^(?!.*\bsolve).*\b(?:equation|line|circle|parabola|plane|curve)\b", re.S)

Algebra = Callable[[str, str], bool]
"""Whether an answer equals a truth as mathematics; both are one value, in canonical spelling."""


def equal(answer: str, truth: str, question: str | None, algebra: Algebra) -> bool:
    """Whether an answer is the truth that is wanted.

    Parameters
    ----------
    answer, truth : str
        As ``extract_answer`` and ``read_truth`` return them.
    question : str or None
        What the row asks, if it is known.
    algebra : callable
        Asked about two values that are not written alike and are no numbers.
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
            return set(values) == set(wanted.names) and self.all_same(
                [values[name] for name in wanted.names], wanted.parts
            )
        if kinds == {"named", "()"}:
            # A point's coordinates have no names, so only the usual order tells them.
            names = given.names + wanted.names
            return names == sorted(names) and self.all_same(given.parts, wanted.parts)
        if given.names and wanted.names and given.names != wanted.names:
            return False
        if kinds <= {"list", "set"}:
            return self.same_set(given.parts, wanted.parts)
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
        left = list(given.parts)
        for part in wanted.parts:
            found = next((other for other in left if self.same_range(other, part)), None)
            if found is None:
                return False
            left.remove(found)
        return not left

    def same_equation(self, answer: str, truth: str) -> bool:
        """Whether two texts are one equation of several variables that a question asks for."""
        sides = [text.split("=") for text in (answer, truth)]
        variables = set(re.findall("[A-Za-z]", COMMAND.sub("", truth)))
        asked = EQUATION.search((self.question or "").lower())
        if not asked or len(variables) < 2 or any(len(pair) != 2 for pair in sides):
            return False
        (left, right), wanted = sides[0], canonical("{}-({})".format(*sides[1]))
        return any(
            self.algebra(canonical(difference), wanted)
            for difference in (f"{left}-({right})", f"{right}-({left})")
        )

    def same_range(self, answer: Range, truth: Range) -> bool:
        """Whether two ranges have the same ends."""
        closed = (answer.low_closed, answer.high_closed) == (truth.low_closed, truth.high_closed)
        ends = (answer.low, answer.high), (truth.low, truth.high)
        return closed and self.all_same(*ends)

    def same_set(self, answers: Sequence[str], truths: Sequence[str]) -> bool:
        """Whether values are the same in any order."""
        left = list(answers)
        for truth in truths:
            found = next((part for part in left if self.same_value(part, truth)), None)
            if found is None:
                return False
            left.remove(found)
        return True

    def all_same(self, answers: Sequence[str], truths: Sequence[str]) -> bool:
        """Whether values are the same in order."""
        return len(answers) == len(truths) and all(map(self.same_value, answers, truths))

    def same_value(self, answer: str, truth: str, whole: bool = False) -> bool:
        """Whether two clean texts are the same value; as a whole answer, 4/2 is no 2."""
        if not whole and all(read(text).kind[0] in "([" for text in (answer, truth)):
            return self.same(answer, truth)
        given_cells, wanted_cells = read_matrix(answer), read_matrix(truth)
        if given_cells is not None and wanted_cells is not None:
            return len(given_cells) == len(wanted_cells) and all(
                map(self.all_same, given_cells, wanted_cells)
            )
        given, wanted = split_unit(outer(answer), self.question), split_unit(outer(truth))
        if not same_unit(given, wanted, self.question):
            return False
        if (number := parse_number(wanted.text)) is not None:
            written = parse_number(given.text)
            if written is None or (whole and number.whole and written.form == "fraction"):
                return False
            return written.value == number.value
        answer, truth = canonical(given.text), canonical(wanted.text)
        return same_words(answer, truth) or self.algebra(answer, truth)
