"""Check ``sparft.*`` overrides on a command line, before hydra composes it.

Hydra refuses a key that is not in the config, but it cannot say which one was meant.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from sparft_plugin import plugins
from sparft_plugin.errors import unknown_name

OVERRIDE = re.compile(r"^(?:\+{0,2}|~)sparft\.([A-Za-z0-9_.]+)(?:=|$)")

SECTIONS = {
    "curriculum": "curriculum",
    "group_filter": "group filter",
    "memory": "intrinsic reward",
}
"""Which kind of plugin each section with a name configures."""


def check_overrides(arguments: Sequence[str]) -> None:
    """Refuse an override of an option that no installed method has.

    Raises
    ------
    SparftError
        Naming the option and the nearest valid one.
    """
    keys = [match.group(1) for argument in arguments if (match := OVERRIDE.match(argument))]
    if not keys:
        return
    known = known_options()
    for key in keys:
        if key not in known:
            raise unknown_name("option", f"sparft.{key}", [f"sparft.{name}" for name in known])


def known_options() -> set[str]:
    """Every dotted key below ``sparft`` that some installed method understands."""
    from sparft_plugin.config import schema
    from sparft_plugin.curriculum.wrappers.wrap import WRAPPERS
    from sparft_plugin.reduction import ReductionConfig

    known = set(_options(schema.SparftConfig))
    known |= {f"reduction.{name}" for name in _options(ReductionConfig)}
    for kind in ("selector", "embedder"):
        for cls in plugins.registered(kind).values():
            known |= {f"reduction.{kind}_options.{name}" for name in _options(cls)}
    known.add("memory.fade")
    encoder = plugins.lookup("embedder", "sentence_transformers")
    known |= {f"memory_encoder.{name}" for name in _options(encoder)}
    known |= {f"wraps.dataset.{name}" for name in _options(schema.WrappedDataset)}
    known |= {f"wraps.reward_manager.{name}" for name in _options(schema.WrappedRewardManager)}
    for wrapper, cls in WRAPPERS.items():
        known |= {f"curriculum.{wrapper}"}
        known |= {f"curriculum.{wrapper}.{name}" for name in _options(cls) if name != "inner"}
    for section, kind in SECTIONS.items():
        known.add(f"{section}.name")
        for cls in plugins.registered(kind).values():
            known |= {f"{section}.{name}" for name in _options(cls)}
    return known


def _options(cls: type) -> list[str]:
    return [field.name for field in dataclasses.fields(cls) if field.init]
