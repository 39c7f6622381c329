r"""The parts of an answer: lists, sets, tuples, named values, intervals, inequalities, matrices.

All texts here are as ``notation.clean`` returns them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from sparft_plugin.rewards.notation import OPEN_SET, outer, split_top, wraps
from sparft_plugin.rewards.plain_number import parse_number
from sparft_plugin.rewards.units import split_unit

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


class Structure(NamedTuple):
    """An answer in its parts."""

    kind: str
    """value, list, set, named, or the opening bracket of a tuple."""
    parts: list[str]
    names: list[str]
    """Of each part if named; else the one name before "=", or none."""


class Range(NamedTuple):
    """An interval, or what an inequality says of its one variable."""

    low: str
    low_closed: bool
    high: str
    high_closed: bool


class Ranges(NamedTuple):
    """A union of ranges."""

    name: str | None
    parts: list[Range]
    point: bool
    """Whether it may as well be a point: two numbers in parentheses."""


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
    low, low_closed = (pieces[at - 2], pieces[at - 1] != "<") if at else (r"-\infty", False)
    high, high_closed = (
        (r"\infty", False) if at + 1 == len(pieces) else (pieces[at + 2], pieces[at + 1] != "<")
    )
    return pieces[at], Range(low, low_closed, high, high_closed)


def read_matrix(text: str) -> list[list[str]] | None:
    """Read the cells of a matrix, row by row, or return None if it is anything else."""
    if not (match := MATRIX.fullmatch(outer(text))):
        return None
    rows = [row.strip() for row in ROW.split(match[1])]
    return [[cell.strip() for cell in row.split("&")] for row in rows if row]
