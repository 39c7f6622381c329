"""Which wrappers a config asks for, and in which order they stand."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from sparft_plugin.curriculum.contract import Curriculum
from sparft_plugin.curriculum.wrappers.base import Wrapper
from sparft_plugin.curriculum.wrappers.retest import Retest
from sparft_plugin.curriculum.wrappers.share_floor import ShareFloor
from sparft_plugin.errors import SparftError, unknown_name

WRAPPERS: dict[str, type[Wrapper]] = {"retest": Retest, "share_floor": ShareFloor}
"""From the inside out: a floor holds for what re-tests leave over, too."""


def split(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Part a method's own options from the wrappers', which are not null."""
    own = {key: value for key, value in options.items() if key not in WRAPPERS}
    return own, {k: options[k] for k in WRAPPERS if options.get(k) is not None}


def wrap(curriculum: Curriculum, wanted: Mapping[str, Any]) -> Curriculum:
    """Stand wrappers around a curriculum that is not yet started.

    ``wanted`` holds their options by name: a section, or the value of the first option alone, as in
    ``share_floor: 0.02``. Unknown options, and those out of their range, are refused.
    """
    for name, cls in WRAPPERS.items():
        if name in wanted:
            known = [f.name for f in dataclasses.fields(cls) if f.init and f.name != "inner"]
            given = wanted[name]
            options = dict(given) if isinstance(given, Mapping) else {known[0]: given}
            for option in options:
                if option not in known:
                    raise unknown_name(f"option of sparft.curriculum.{name}", str(option), known)
            if name == "share_floor" and "floor" not in options:
                raise SparftError("sparft.curriculum.share_floor needs its option 'floor'; set it.")
            curriculum = cls(curriculum, **options)
    return curriculum
