r"""Numbers in digits: 18, -3.50, 1,000, 2/3, 1\frac{2}{3}, 0.\overline{3}, 5 million."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from sparft_plugin.rewards.notation import canonical, clean

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
TIMES = {
    "dozen": 12,
    "hundred": 10**2,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
}


class PlainNumber(NamedTuple):
    """A number as written."""

    value: Fraction
    form: str
    """decimal, fraction, or other."""

    @property
    def whole(self) -> bool:
        """Whether it is an integer."""
        return self.value.denominator == 1


@lru_cache(maxsize=256)
def parse_number(text: str) -> PlainNumber | None:
    """Read a number written in ASCII digits, or return None if the text is anything else.

    Parameters
    ----------
    text : str
        At most a few hundred characters, without a unit.
    """
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
    number = PlainNumber(-value if sign == "-" else value, "other")
    return None if number.whole else number
