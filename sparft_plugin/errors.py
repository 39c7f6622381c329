"""The one error a user is meant to read."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable


class SparftError(ValueError):
    """Bad input: one sentence that names the file, row or key, and the mend.

    The command line prints it without a traceback and exits with code 2.
    """


def require(holds: bool, sentence: str) -> None:
    """Raise the sentence as a SparftError unless a condition holds."""
    if not holds:
        raise SparftError(sentence)


def import_extra(extra: str, what: str, *packages: str) -> None:
    """Import packages, or name the extra that brings them; ``what`` tells what needs them."""
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise SparftError(
                f"{what} needs {package}; pip install 'sparft-plugin[{extra}]'."
            ) from error


def unknown_name(kind: str, name: str, known: Iterable[str]) -> SparftError:
    """Build the error for a name that does not exist; the nearest is offered, all are listed.

    ``kind`` is what was named, in words: "curriculum", "option of sparft.memory".
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    listed = ", ".join(names) if names else "none"
    return SparftError(f"unknown {kind} '{name}'{hint} Known: {listed}.")


def refuse_unknown(kind: str, given: Iterable[object], known: Iterable[str]) -> None:
    """Refuse the first name that is not known, as ``unknown_name`` puts it."""
    known = list(known)
    for name in given:
        if name not in known:
            raise unknown_name(kind, str(name), known)
