r"""The parts of an answer: lists, sets, tuples, named values, ranges, matrices, and units.

All texts here are as ``notation.clean`` returns them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from string import ascii_letters
from typing import NamedTuple

from sparft_plugin.rewards.notation import OPEN_SET, TIMES, outer, parse_number, split_top, wraps

NAME = (
    r"(?:m?\\angle ?[A-Z]{1,3}|[A-Z]{2,3}|[A-Za-z]|\\(?!in(?![a-z]))[a-z]+)"
    r"(?:_\{?[A-Za-z0-9]\}?|\^\{?-1\}?|'{1,2})?(?:\([A-Za-z]\))?"
)
IS_NAME = re.compile(NAME)
NAMED = re.compile(rf"({NAME}) ?(?:=|\\in(?![A-Za-z])|in(?= [(\[])) ?([^=]+)")
NAMED_LAST = re.compile(rf"([^=]+?) ?= ?({NAME})")
NAMED_TUPLE = re.compile(r"\(([^()=]+)\) ?= ?\((.+)\)")
AND = re.compile(r",? (?:and|or) ")
UNION = re.compile(r"\\cup(?![A-Za-z])| or ")
BOUND = re.compile(r"(<|>|\\le(?![A-Za-z])|\\ge(?![A-Za-z]))")
MATRIX = re.compile(r"\\begin\{matrix\}(.*)\\end\{matrix\}")
ROW = re.compile(r"\\\\(?: ?\[[^\[\]]*\])?")
PLUS_MINUS = re.compile(r"\\pm(?![A-Za-z])")

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
LETTERS = re.compile(r"[A-Za-z]+")
COMMAND = re.compile(r"\\[A-Za-z]+")
MEASURED = re.compile(r"[0-9\\]")


class Structure(NamedTuple):
    """The parts of an answer and their names if named; else the one name before "=", or none.

    The kind is value, list, set, named, or the brackets of a tuple.
    """

    kind: str
    parts: list[str]
    names: list[str]


class Range(NamedTuple):
    """An interval, or what an inequality says of its one variable."""

    low: str
    low_closed: bool
    high: str
    high_closed: bool


class Ranges(NamedTuple):
    """A union of ranges; it may as well be a point if it is two numbers in parentheses."""

    name: str | None
    parts: list[Range]
    point: bool


def read(text: str) -> Structure:
    """Take an answer apart; what has no parts is one value."""
    text = AND.sub(", ", outer(text))
    if match := NAMED_TUPLE.fullmatch(text):
        names, parts = (split_top(side, ",") for side in match.groups())
        if len(names) == len(parts) == len(set(names)) and all(map(IS_NAME.fullmatch, names)):
            return Structure("named", parts, names)
    if parse_number(split_unit(text).text) is not None:
        return Structure("value", [text], [])
    pairs = [name_of(part) for part in split_top(text, ",;")]
    names = [name for name, _ in pairs if name]
    parts = [value for _, value in pairs]
    if len(names) == len(parts) == len(set(names)) > 1:
        return Structure("named", parts, names)
    if len(set(names)) > 1 or (names and not pairs[0][0]):
        return Structure("list", split_top(text, ",;"), [])
    kind = "list" if len(parts) > 1 else "value"
    if kind == "value" and wraps(inner := parts[0]):
        within = split_top(inner[1:-1], ",;")
        if inner[0] == OPEN_SET or (inner[0] == "{" and len(within) > 1):
            kind, parts = "set", [part for part in within if part]
        elif len(within) > 1 and inner[0] in "([":
            kind, parts = inner[0] + inner[-1], within
    if not parts:
        return Structure("value", [r"\emptyset"], [])
    if any(PLUS_MINUS.search(part) for part in parts) and kind in ("value", "list", "set"):
        kind, parts = "list", [value for part in parts for value in both_signs(part)]
    return Structure(kind, parts, names[:1])


def name_of(text: str) -> tuple[str | None, str]:
    r"""Separate "x =", "f(x) =" or "x \in" from a value, or "= x" behind it."""
    if match := NAMED.fullmatch(text):
        return match[1].replace(" ", ""), match[2]
    if (match := NAMED_LAST.fullmatch(text)) and not IS_NAME.fullmatch(match[1]):
        return match[2], match[1]
    return None, text


def both_signs(text: str) -> list[str]:
    r"""Return the two values of the one \pm in a text."""
    if len(PLUS_MINUS.findall(text)) != 1:
        return [text]
    before, after = PLUS_MINUS.split(text)
    return [f"{before}{sign}{after}".strip() for sign in ("+" if before.strip() else "", "-")]


def read_ranges(text: str) -> Ranges | None:
    """Read intervals and inequalities of one variable, or return None if it is anything else."""
    name, text = name_of(text)
    names, parts, point = {name} - {None}, [], False
    pieces = [outer(piece) for piece in UNION.split(text)]
    for piece in pieces:
        if (found := bracketed(piece)) is not None:
            parts.append(found)
            open_ends = piece[0] == "(" and piece[-1] == ")" and r"\infty" not in piece
            point = open_ends and len(pieces) == 1 and not name
        elif (chained := chain(piece)) is not None:
            names.add(chained[0])
            parts.append(chained[1])
        else:
            return None
    return Ranges(next(iter(names), None), parts, point) if len(names) < 2 else None


def bracketed(text: str) -> Range | None:
    """Read an interval in brackets, such as (1, 2]."""
    ends = split_top(text[1:-1], ",")
    if text[:1] not in ("(", "[") or text[-1:] not in (")", "]") or not wraps(text):
        return None
    return Range(ends[0], text[0] == "[", ends[1], text[-1] == "]") if len(ends) == 2 else None


def chain(text: str) -> tuple[str, Range] | None:
    r"""Read an inequality, such as x > 3 or 1 \le x < 2, as the name and its range."""
    pieces = [piece.strip() for piece in BOUND.split(text)]
    if len(pieces) not in (3, 5) or not all(pieces):
        return None
    if pieces[1] in (">", r"\ge"):
        turned = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}
        pieces = [turned.get(piece, piece) for piece in reversed(pieces)]
    where = [at for at in range(0, len(pieces), 2) if IS_NAME.fullmatch(pieces[at])]
    if len(where) != 1 or set(pieces[1::2]) - {"<", r"\le"}:
        return None
    at = where[0]
    if len(pieces) == 5 and at != 2:
        return None
    ends = [r"-\infty", "<", *pieces, "<", r"\infty"][at : at + 5]
    return pieces[at], Range(ends[0], ends[1] != "<", ends[4], ends[3] != "<")


def read_matrix(text: str) -> list[list[str]] | None:
    """Read the cells of a matrix, row by row, or return None if it is anything else."""
    if not (match := MATRIX.fullmatch(outer(text))):
        return None
    rows = [row.strip() for row in ROW.split(match[1])]
    return [[cell.strip() for cell in row.split("&")] for row in rows if row]


class Measure(NamedTuple):
    """A value and the one name of its unit with its power, empty for none.

    It is sure if it can be nothing else, as the single letter m and the factor percent can.
    """

    text: str
    unit: str
    sure: bool


def split_unit(text: str, question: str | None = None) -> Measure:
    """Separate a value from its currency sign or from the known unit behind it.

    A question such as "How many eggs" makes eggs a unit.
    """
    if match := CURRENCY.match(text):
        return Measure(match[1] + text[match.end() :], "$", True)
    if (match := SIGN.search(text)) and match.start():
        return Measure(text[: match.start()], "%" if match[1] else "deg", True)
    power = POWER.search(text)
    body = text[: power.start()] if power else text
    value = body.rstrip(ascii_letters + " ./")
    if value.endswith("\\") and (command := LETTERS.match(body, len(value))):
        value = body[: command.end()]
    for word in LETTERS.finditer(body, len(value)):
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
    return LETTERS.search(COMMAND.sub("", text)) is not None


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
    asking = rf"how many (?:[a-z-]+ ){{0,3}}{re.escape(noun)}\b"
    return re.search(asking, question.lower()) is not None


@lru_cache(maxsize=256)
def asked(question: str) -> frozenset[str]:
    """Return the units that a question names."""
    words = set(LETTERS.findall(question)) - COMMON
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
