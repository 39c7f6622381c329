r"""Numbers written out in digits: 18, -3.50, 1,000, 2/3, 1\frac{2}{3}, \$5, 40\%."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

DECIMAL = re.compile(r"([+-]?)((?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]*)(?:\.[0-9]+)?)")
DIVISION = re.compile(r"([+-]?)()([0-9]+) ?/ ?([0-9]+)")
FRACTION = re.compile(
    r"([+-]?)([0-9]*) ?\\[dt]?frac ?(?:\{([0-9]+)\}|([0-9])) ?(?:\{([0-9]+)\}|([0-9]))"
)
SEPARATORS = re.compile(r"(?<=[0-9])(?:\\[,!; ]|\{,\})(?:\\!)?(?=[0-9]{3}(?![0-9]))")
CURRENCY = re.compile(r"([+-]?)\\?\$ ?")
UNIT = re.compile(
    r" ?(?:(\\?%)|(\^ ?(?:\{ ?\\circ ?\}|\\circ)|°)"
    r"|(?:\\[,;! ])? ?\\(?:text|mathrm|textrm|mbox)\{ ?([A-Za-z]+)\.? ?\}(\^\{?[23]\}?)?)"
)


class PlainNumber(NamedTuple):
    """A number as written."""

    value: Fraction
    divided: bool
    """Written as a fraction."""
    unit: str
    """One of $, %, deg, a word with its power; empty for none."""


def parse_number(text: str) -> PlainNumber | None:
    """Read a number written in ASCII digits, or return None if the text is anything else.

    Parameters
    ----------
    text : str
        At most a few hundred characters.
    """
    text, unit = split_unit(SEPARATORS.sub("", text.strip()))
    if (match := DECIMAL.fullmatch(text)) and match.group(2):
        sign, digits = match.groups()
        return PlainNumber(Fraction(sign + digits.replace(",", "")), False, unit)
    if match := DIVISION.fullmatch(text) or FRACTION.fullmatch(text):
        sign, whole, *parts = match.groups()
        over, under = (int(part) for part in parts if part is not None)
        if under:
            value = int(whole or 0) + Fraction(over, under)
            return PlainNumber(-value if sign == "-" else value, True, unit)
    return None


def split_unit(text: str) -> tuple[str, str]:
    """Separate a number from its currency sign or from the one unit behind it."""
    if match := CURRENCY.match(text):
        return match.group(1) + text[match.end() :], "$"
    for match in UNIT.finditer(text):
        if match.end() == len(text):
            percent, degree, word, power = match.groups()
            name = "%" if percent else "deg" if degree else word + (power or "").strip("^{}")
            return text[: match.start()].rstrip(), name
    return text, ""


def same_number(answer: PlainNumber, truth: PlainNumber) -> bool:
    """Whether an answer is the number that is wanted.

    Values are compared exactly. A unit may be left out, but not be another one. A whole number is
    wanted as such: 46/2 leaves the work undone that a question for 23 asks for.
    """
    undone = answer.divided and truth.value.denominator == 1
    units = answer.unit == truth.unit or "" in (answer.unit, truth.unit)
    return answer.value == truth.value and units and not undone
