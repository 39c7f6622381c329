r"""The unit behind a value: 5\text{ cm}^2, 60 miles per hour, \$5, 40\%, 90^\circ."""

from __future__ import annotations

import re
from functools import lru_cache
from string import ascii_letters
from typing import NamedTuple

from sparft_plugin.rewards.plain_number import TIMES

# A line for each dimension; of the names of one unit the first is the one that is compared.
NAMES = """
mm millimeter millimetre|cm centimeter centimetre|m meter metre|km kilometer kilometre\
|in inch inches|ft foot feet|yd yard|mi mile
mg milligram|g gram|kg kilogram|lb pound|oz ounce|ton tonne
ml milliliter millilitre|L l liter litre|gal gallon|qt quart|pint|cup|tbsp tablespoon|tsp teaspoon
s sec second|min minute|h hr hour|day|week|month|yr year
mi/h mph|km/h kph kmh
$ dollar usd buck|cent|euro
deg degree|rad radian
% percent percentage
person people
student|child children
way
unit
byte|bit
N newton|J joule|kj kilojoule|W watt|kw kilowatt|V volt|hz hertz|pa pascal|mol mole|K kelvin
"""
LINES = [[names.split() for names in line.split("|")] for line in NAMES.split("\n")]
UNITS = {name: names[0] for line in LINES for names in line for name in names}
DIMENSIONS = {names[0]: {other[0] for other in line} for line in LINES for names in line if names}
COMMON = {"in", "In", "second", "Second"}
"""Words that are units only behind a number."""
POWERS = {"square": "2", "sq": "2", "squared": "2", "cubic": "3", "cu": "3", "cubed": "3"}

CURRENCY = re.compile(r"([+-]?) ?\\?\$ ?")
SIGN = re.compile(r" ?(?:(\\?%)|\^ ?(?:\{ ?\\circ ?\}|\\circ)(?: ?[CF])?)$")
POWER = re.compile(r" ?\^ ?(?:([23])|\{ ?([23]) ?\})$")
WORD = re.compile(r"[A-Za-z]+")
COMMAND = re.compile(r"\\[A-Za-z]+")
MEASURED = re.compile(r"[0-9\\]")


class Measure(NamedTuple):
    """A value and its unit."""

    text: str
    unit: str
    """One name for each unit, with its power; empty for none."""
    sure: bool
    """Whether it can be nothing else, as the single letter m and the factor percent can."""


def split_unit(text: str, question: str | None = None) -> Measure:
    """Separate a value from its currency sign or from the known unit behind it.

    Parameters
    ----------
    text : str
        As ``notation.clean`` returns it.
    question : str, optional
        What was asked; "How many eggs" makes eggs a unit.
    """
    if match := CURRENCY.match(text):
        return Measure(match[1] + text[match.end() :], "$", True)
    if (match := SIGN.search(text)) and match.start():
        return Measure(text[: match.start()], "%" if match[1] else "deg", True)
    power = POWER.search(text)
    body = text[: power.start()] if power else text
    value = body.rstrip(ascii_letters + " ./")
    if value.endswith("\\") and (command := WORD.match(body, len(value))):
        value = body[: command.end()]
    for word in WORD.finditer(body, len(value)):
        rest, name = body[: word.start()].rstrip(), body[word.start() :]
        if MEASURED.search(rest) and not rest.endswith("/"):
            if len(name) == 1 and (rest.endswith(body[word.start() - 1]) or letters(rest)):
                continue
            unit = read_unit(name, (power[1] or power[2]) if power else "")
            if not unit and not power and counts(name, question):
                unit = name
            if unit:
                return Measure(rest, unit, len(name) > 1 and unit != "%")
    return Measure(text, "", True)


def letters(text: str) -> bool:
    """Whether a text has letters outside of commands: variables, of which a unit could be one."""
    return WORD.search(COMMAND.sub("", text)) is not None


def read_unit(name: str, power: str = "") -> str:
    """Return the one name of a unit such as "square feet" or "miles per hour", or nothing."""
    parts = []
    for part in name.replace(" per ", "/").split("/"):
        words = [word.strip(".") for word in part.split()]
        powers = [POWERS[word] for word in words if word in POWERS]
        nouns = [word for word in words if word not in POWERS]
        if len(nouns) != 1 or len(powers) > 1 or not (unit := lookup(nouns[0])):
            return ""
        parts.append(unit + "".join(powers))
    return "/".join(parts) + power


def lookup(word: str) -> str:
    """Return the one name of a unit's word, singular or plural, or nothing."""
    for name in (word, word.lower(), word.lower().removesuffix("s")):
        if name in UNITS and (len(name) > 1 or name == word):
            return UNITS[name]
    return ""


def counts(noun: str, question: str | None) -> bool:
    """Whether a question asks for a number of these."""
    noun = noun.lower().strip(". ")
    if not question or noun.removesuffix("s") in TIMES:
        return False
    return (
        re.search(rf"how many (?:[a-z-]+ ){{0,3}}{re.escape(noun)}\b", question.lower()) is not None
    )


@lru_cache(maxsize=256)
def asked(question: str) -> frozenset[str]:
    """Return the units that a question names."""
    words = set(WORD.findall(question)) - COMMON
    found = {lookup(word) for word in words if len(word) > 1}
    return frozenset(found | ({"%", "$"} & set(question)))


def same_unit(answer: Measure, truth: Measure, question: str | None) -> bool:
    """Whether the unit of an answer fits.

    It may be left out, but not be another one. Where the truth has none, the question tells: a unit
    that may be something else must be named there, a percentage too unless nothing is known, and
    centimetres are wrong where only metres are named.
    """
    if answer.unit in (truth.unit, ""):
        return True
    if truth.unit:
        return False
    known = frozenset[str]() if question is None else asked(question)
    unit = answer.unit.rstrip("23")
    if answer.sure and (answer.unit != "%" or question is None):
        return unit in known or not known & DIMENSIONS.get(unit, set())
    return unit in known
