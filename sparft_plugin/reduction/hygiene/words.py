"""A prompt as words, so that case, punctuation and layout cannot hide a copy."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

# Thai, Lao, Myanmar, Khmer, kana and Han: written without spaces between words.
_SPACELESS = (
    "\u0e00-\u0e7f\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
# Soft hyphens, zero-width marks and variation selectors are seen by no reader.
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060\ufe00-\ufe0f\ufeff]")
_ASCII_WORD = re.compile("[a-z0-9]+")


def words(text: str) -> list[str]:
    """Split a text into words, equal for texts that differ in case, punctuation and layout only.

    The text is normalised (Unicode NFKC, case folded). A word is a run of letters and digits of any
    script with their combining marks; everything else separates. In scripts that are written
    without spaces (Han, kana, Thai, Lao, Khmer, Myanmar) each letter is a word of its own, so 13
    words are 13 characters there.
    """
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    return _word_pattern().findall(_fold(text))


def plain(text: str) -> str:
    """Normalise a text for comparison as a whole: as ``words`` does, but punctuation stays.

    White space becomes single spaces. Prompts too short for words to tell apart, such as ``2 + 2``
    and ``2 - 2``, are compared in this form.
    """
    return " ".join(_fold(text).split())


def _fold(text: str) -> str:
    seen = _UNSEEN.sub("", unicodedata.normalize("NFKC", text))
    return unicodedata.normalize("NFKC", seen.casefold())


@cache
def _word_pattern() -> re.Pattern[str]:
    r"""``\w`` of Python has no combining marks, which would cut Hindi words at their vowels."""
    marks = "".join(c for c in map(chr, range(0x20000)) if unicodedata.category(c)[0] == "M")
    letter = rf"(?![{_SPACELESS}])[^\W_]"
    return re.compile(rf"[{_SPACELESS}][{marks}]*|(?:{letter}[{marks}]*)+")
