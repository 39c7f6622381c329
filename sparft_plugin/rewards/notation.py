r"""One spelling for what is written in several: signs, blanks, wrappers, braces, numbers.

Only notation is changed, never a value. What is unknown here, such as ``\phantom``, stays as it is
and equals nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

SIGNS = str.maketrans(
    dict.fromkeys("−–—‐‑‒﹣－", "-")
    | dict.fromkeys("\u00a0\u2009\u202f\u2002\u2003\u2005\u2006\u2007\u2008\u200a", " ")
    | {"×": r"\cdot ", "·": r"\cdot ", "⋅": r"\cdot ", "π": r"\pi ", "∞": r"\infty "}
    | {"≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "±": r"\pm ", "∪": r"\cup ", "∩": r"\cap "}
    | {"½": r"\frac{1}{2}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}", "√": r"\sqrt "}
    | {"∈": r"\in ", "∅": r"\emptyset ", "°": r"^\circ ", "²": "^2", "³": "^3", "…": r"\ldots "}
)
# A set's braces as one character each, so that all other braces are LaTeX's own.
OPEN_SET, CLOSE_SET = "⦃", "⦄"
COMMANDS = {
    **dict.fromkeys(["dfrac", "tfrac", "cfrac"], r"\frac"),
    **dict.fromkeys(["leq", "leqslant"], r"\le"),
    **dict.fromkeys(["geq", "geqslant"], r"\ge"),
    **dict.fromkeys(["left", "right", "displaystyle", "textstyle", "limits"], ""),
    **dict.fromkeys(["big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr"], ""),
    **dict.fromkeys(["times", "ast"], r"\cdot"),
    **dict.fromkeys(["dots", "cdots"], r"\ldots"),
    **dict.fromkeys(["lvert", "rvert", "vert", "mid"], "|"),
    "lbrace": OPEN_SET,
    "rbrace": CLOSE_SET,
    "langle": "(",
    "rangle": ")",
    "lt": "<",
    "gt": ">",
    "neq": r"\ne",
    "varnothing": r"\emptyset",
    "degree": r"^\circ",
    "colon": ":",
}
COMMAND = re.compile(r"\\([A-Za-z]+)")
# What people write without LaTeX.
PLAIN = re.compile(r"(?<![A-Za-z\\])(sqrt|pi)(?![A-Za-z])")
ROOT = re.compile(r"(?:√|(?<!\\)sqrt|\\sqrt(?=\()) ?(?:([0-9]+)|\(([^()]*)\))")
DOLLARS = re.compile(r"(?<!\\)\$([^$\\]*(?:\\.[^$\\]*)*)\$")
PARENTHESES = re.compile(r"(?<!\\)\\[()\[\]]")
REALS = re.compile(r"\\mathbb ?\{?R\}?|\ball real numbers\b")
RATIO = re.compile(r"(?<=[0-9]) to (?=[0-9])")
TEXT = re.compile(
    r"\\(?:text|textbf|textit|textrm|textnormal|mathrm|mathbf|mathit|mathsf|boldsymbol|bm|mbox"
    r"|operatorname|bf|rm) ?\{((?:[^{}\\$]|\\%)*)\}"
)
SEPARATORS = re.compile(r"(?<=[0-9])(?:(?:\\!)?(?:\{,\}|,)\\!|\{,\}|\\[,!; ])(?=[0-9]{3}(?![0-9]))")
SPACE = re.compile(r"(?<!\\)\\[,;:!> ]|~")
QUAD = re.compile(r"(?<=[,;]) ?\\q?quad(?![A-Za-z])")
STOP = re.compile(r"(?<!\.) ?\.$")
HALF_DAY = re.compile(r"(?<=[0-9]) ?([AaPp])\.? ?[Mm](?:\.|(?![A-Za-z]))")
MATRIX = re.compile(r"\\(begin|end)\{(?:[bp]?matrix|array)\}(?: ?\{[clr|]+\})?")
WRAPPED_MATRIX = re.compile(r"[(\[] ?(\\begin\{matrix\}(?:(?!\\end).)*\\end\{matrix\}) ?[)\]]")

ARGUMENT = r" ?(\\(?:pi|theta|circ)(?![A-Za-z])|[0-9A-Za-z])"
# All digits behind ^ or _, which TeX would take one of; but \log_28 is the logarithm of 8.
DIGITS = re.compile(r"(\^|(?<!\\log)_)([0-9]{2,})")
ONE_TOKEN = re.compile(
    r"(\^|_|\\(?:sqrt(?:\[[^\[\]{}]*\])?|overline|bar|dot|vec|mathbb)(?![A-Za-z]))" + ARGUMENT
)
OVER = re.compile(r"\\frac(?![A-Za-z])" + ARGUMENT)
UNDER = re.compile(r"(\\frac ?\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})" + ARGUMENT)
TIGHT = re.compile(r" ?([{}^_]) ?")
ATOM_IN_BRACES = re.compile(r"(?<![A-Za-z\]}^_])\{(-|[0-9A-Za-z.]*)\}")
OPERAND = r"([0-9]+[A-Za-z]?|[A-Za-z]|[0-9]*\\(?:pi|sqrt\{[^{}]*\})|\([^()]*\))"
SLASH = re.compile(rf"(?<![\w./)}}^!\\]){OPERAND} ?/ ?{OPERAND}(?![\w./({{^!\\])")
CALL = re.compile(
    r"(\\(?:sin|cos|tan|cot|sec|csc|ln|log|exp|arcsin|arccos|arctan)(?:_\{[^{}]*\})?) ?"
    r"(?:\{ ?([0-9]+|[A-Za-z]|\\pi) ?\}|\( ?([0-9]+|[A-Za-z]|\\pi) ?\))"
)
BASE = re.compile(r"\(([0-9]+)\)(?=_)")
PLUS = re.compile(r"(?<![\w)}\] ])\+ ?(?=\\infty)")
BLANK = re.compile(
    r"(?<![A-Za-z0-9.]) | (?![A-Za-z0-9.])|(?<=[A-Za-z]) (?=[0-9.])|(?<=[0-9.]) (?=[A-Za-z])"
)
OPENING, CLOSING = "([{" + OPEN_SET, ")]}" + CLOSE_SET

DECIMAL = re.compile(
    r"([+-]?)((?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,3}(?: [0-9]{3})+|[0-9]*)(?:\.[0-9]+)?)"
)
FRACTION = re.compile(r"([+-]?)([0-9]*)\\frac\{([+-]?[0-9]+)\}\{([+-]?[0-9]+)\}")
SCIENTIFIC = re.compile(r"([+-]?[1-9](?:\.[0-9]+)?)\\cdot10\^\{([+-]?[0-9]{1,3})\}")
REPEATING = re.compile(
    r"([+-]?)([0-9]*)\.([0-9]*)(?:\\(?:overline|bar|dot)\{([0-9]+)\}|\(([0-9]+)\))"
)
DOTS = re.compile(r"([+-]?[0-9]*\.[0-9]*?)([0-9])\2{2,}(?:\.{2,3}|\\ldots)")
MULTIPLE = re.compile(r"(.*[0-9}]) ?(dozen|hundred|thousand|million|billion|trillion)")
TIMES = {"dozen": 12, "hundred": 10**2, "thousand": 10**3, "million": 10**6}
TIMES |= {"billion": 10**9, "trillion": 10**12}


@lru_cache(maxsize=256)
def clean(text: str) -> str:
    r"""Return a text with one sign for each meaning, single blanks, and nothing for the eye only.

    Words stay words and keep their blanks, which lists and units are told by; see ``canonical``
    for the rest.
    """
    text = PLAIN.sub(r"\\\1", ROOT.sub(r"\\sqrt{\1\2}", text).translate(SIGNS))
    text = PARENTHESES.sub(" ", DOLLARS.sub(r" \1 ", text))
    text = text.replace("<=", r"\le ").replace(">=", r"\ge ")
    text = text.replace(r"\{", OPEN_SET).replace(r"\}", CLOSE_SET).replace("{:}", ":")
    text = COMMAND.sub(lambda match: COMMANDS.get(match[1], match[0]), text).replace("*", r"\cdot ")
    for _ in range(2):
        text = TEXT.sub(r" \1 ", text)
    text = WRAPPED_MATRIX.sub(r"\1", MATRIX.sub(r"\\\1{matrix}", text))
    text = REALS.sub(r"(-\\infty,\\infty)", QUAD.sub(" ", SPACE.sub(" ", SEPARATORS.sub("", text))))
    text = HALF_DAY.sub(r" \1m", STOP.sub("", " ".join(text.split())))
    return RATIO.sub(":", text)


@lru_cache(maxsize=256)
def canonical(text: str) -> str:
    r"""Return the one spelling of a formula or of words: equal texts are written alike.

    Sizes, spaces, wrappers, outer parentheses and needless braces are gone, every argument has its
    braces, and a quotient of two operands is a ``\frac``.
    """
    return BLANK.sub("", spell(outer(clean(text))))


def spell(text: str) -> str:
    """Give every argument of a clean text its braces, and every quotient its fraction."""
    text = DIGITS.sub(r"\1{\2}", TIGHT.sub(r"\1", text))
    text = ONE_TOKEN.sub(r"\1{\2}", text)
    text = UNDER.sub(r"\1{\2}", OVER.sub(r"\\frac{\1}", text))
    text = ATOM_IN_BRACES.sub(r"\1", BASE.sub(r"\1", text))
    text = CALL.sub(r"\1 \2\3", SLASH.sub(quotient, text))
    return PLUS.sub("", text)


def quotient(match: re.Match[str]) -> str:
    r"""Spell a/b as ``\frac{a}{b}``."""
    over, under = (part[1:-1] if part[0] == "(" else part for part in match.groups())
    return rf"\frac{{{over}}}{{{under}}}"


def outer(text: str) -> str:
    """Return a text without the braces and parentheses around all of it, if they hold one value."""
    text = text.strip()
    sign = text[:1] if text[:2] in ("-(", "-{") and not set("+-,") & set(text[1:]) else ""
    inner = text.removeprefix(sign)
    while inner[:1] in ("(", "{") and wraps(inner) and len(split_top(inner[1:-1], ",;")) == 1:
        inner = inner[1:-1].strip()
    return sign + inner


def wraps(text: str) -> bool:
    """Whether the bracket that a text begins with closes at its end."""
    last = next((at for at, depth in depths(text) if not depth), None)
    return len(text) > 1 and last == len(text) - 1


def split_top(text: str, separators: str) -> list[str]:
    """Split a text at separators outside of all brackets."""
    parts, begin = [], 0
    for at, depth in depths(text):
        if not depth and text[at] in separators:
            parts.append(text[begin:at])
            begin = at + 1
    return [part.strip() for part in [*parts, text[begin:]]]


def depths(text: str) -> Iterator[tuple[int, int]]:
    """Yield every position with the number of brackets that are open after it."""
    depth = 0
    for at, character in enumerate(text):
        depth += (character in OPENING) - (character in CLOSING)
        yield at, depth


class PlainNumber(NamedTuple):
    """A number as written; its form is decimal, fraction or other."""

    value: Fraction
    form: str


@lru_cache(maxsize=256)
def parse_number(text: str) -> PlainNumber | None:
    """Read a number in ASCII digits, without a unit, or return None if it is anything else."""
    if match := MULTIPLE.fullmatch(clean(text)):
        times = parse_number(match[1])
        return times and PlainNumber(times.value * TIMES[match[2]], "other")
    text = canonical(text)
    if (match := DECIMAL.fullmatch(text)) and match[2]:
        return PlainNumber(Fraction(re.sub("[, ]", "", text)), "decimal")
    if match := FRACTION.fullmatch(text):
        sign, whole, over, under = match.groups()
        if not int(under) or (whole and not over.isdigit() & under.isdigit()):
            return None
        value = int(whole or 0) + Fraction(int(over), int(under))
        return PlainNumber(-value if sign == "-" else value, "fraction")
    if match := SCIENTIFIC.fullmatch(text):
        return PlainNumber(Fraction(match[1]) * Fraction(10) ** int(match[2]), "other")
    return repeating(text)


def repeating(text: str) -> PlainNumber | None:
    r"""Read 0.1\overline{6}, 0.1(6) or 0.1666...; a whole number is not written so."""
    if match := DOTS.fullmatch(text):
        text = f"{match[1]}({match[2]})"
    if not (match := REPEATING.fullmatch(text)):
        return None
    sign, whole, first, over, within = match.groups()
    period = over or within
    value = Fraction(f"{whole or 0}.{first}0")
    value += Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(first))
    if value.denominator == 1:
        return None
    return PlainNumber(-value if sign == "-" else value, "other")
