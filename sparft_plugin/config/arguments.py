"""Check ``sparft.*`` overrides on a command line, before hydra composes it.

Hydra refuses a key that is not in the config, but it cannot say which one was meant.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sparft_plugin import plugins
from sparft_plugin.errors import refuse_unknown

OVERRIDE = re.compile(r"^(?:\+{0,2}|~)sparft\.([A-Za-z0-9_.]+)(?:=|$)")

SECTIONS = {
    "curriculum": "curriculum",
    "group_filter": "group filter",
    "memory": "intrinsic reward",
}
"""Which kind of plugin each section with a name configures."""


def check_overrides(arguments: Sequence[str]) -> None:
    """Refuse an override of an option that no installed method has, with the nearest one."""
    keys = [match.group(1) for argument in arguments if (match := OVERRIDE.match(argument))]
    if not keys:
        return
    known = [f"sparft.{name}" for name in known_options()]
    refuse_unknown("option", [f"sparft.{key}" for key in keys], known)


def known_options() -> set[str]:
    """Every dotted key below ``sparft`` that some installed method understands."""
    from sparft_plugin.config import schema
    from sparft_plugin.curriculum.wrappers.wrap import WRAPPERS
    from sparft_plugin.reduction import ReductionConfig

    sections: dict[str, list[type]] = {
        "": [schema.SparftConfig],
        "reduction.": [ReductionConfig],
        "memory_encoder.": [plugins.lookup("embedder", "sentence_transformers")],
        "wraps.dataset.": [schema.WrappedDataset],
        "wraps.reward_manager.": [schema.WrappedRewardManager],
    }
    for kind in ("selector", "embedder"):
        sections[f"reduction.{kind}_options."] = list(plugins.registered(kind).values())
    for section, kind in SECTIONS.items():
        sections[f"{section}."] = list(plugins.registered(kind).values())
    for wrapper, cls in WRAPPERS.items():
        sections[f"curriculum.{wrapper}."] = [cls]
    known = {f"{section}.name" for section in SECTIONS} | {"memory.fade"}
    known |= {f"curriculum.{wrapper}" for wrapper in WRAPPERS}
    for prefix, classes in sections.items():
        known |= {f"{prefix}{name}" for cls in classes for name in plugins.option_names(cls)}
    return known - {f"curriculum.{wrapper}.inner" for wrapper in WRAPPERS}
