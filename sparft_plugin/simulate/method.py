"""A curriculum as it is named on the command line, with its options."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sparft_plugin.curriculum import Curriculum
from sparft_plugin.curriculum.wrappers.wrap import split, wrap
from sparft_plugin.plugins import build, lookup, read_options


@dataclass(frozen=True)
class Method:
    """A registered curriculum with its options, those of wrappers among them."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Method:
        """Read ``NAME`` or ``NAME:OPTION=VALUE:OPTION=VALUE``, values as JSON or else as text.

        Raises
        ------
        SparftError
            If the name is unknown or an option has no value.
        """
        name, *pairs = text.split(":")
        lookup("curriculum", name)
        return cls(name, read_options(f"--methods {text}", pairs))

    def build(self) -> Curriculum:
        """Construct the curriculum in its wrappers, not yet bound to a pool.

        Raises
        ------
        SparftError
            If an option is unknown, missing or out of its range.
        """
        options, wrappers = split(self.options)
        return wrap(build("curriculum", self.name, options), wrappers)

    @property
    def label(self) -> str:
        """How the method is named on the command line."""
        return ":".join([self.name, *(f"{k}={json.dumps(v)}" for k, v in self.options.items())])
