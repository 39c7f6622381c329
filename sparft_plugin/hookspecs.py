"""The whole plugin contract: five hooks, each returning named classes.

A package joins by an entry point in the group ``sparft_plugin`` that names a module; the module
implements any of these functions under ``sparft_plugin.hookimpl``. The built-in methods are
registered by exactly the same road (``sparft_plugin/builtin.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pluggy

PROJECT = "sparft_plugin"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_embedders() -> Mapping[str, type[Any]]:
    """Text encoders by name; each is an ``Embedder`` (``reduction/embedders/base.py``)."""
    raise NotImplementedError


@hookspec
def register_selectors() -> Mapping[str, type[Any]]:
    """Rules that keep representatives of a cluster, by name (``reduction/selectors/base.py``)."""
    raise NotImplementedError


@hookspec
def register_curricula() -> Mapping[str, type[Any]]:
    """Curricula by name; each dataclass derives ``Curriculum`` (``curriculum/contract.py``)."""
    raise NotImplementedError


@hookspec
def register_group_filters() -> Mapping[str, type[Any]]:
    """Admission rules for finished groups, by name; each is a dataclass deriving ``GroupFilter``
    (``curriculum/filters.py``).
    """
    raise NotImplementedError


@hookspec
def register_intrinsic_rewards() -> Mapping[str, type[Any]]:
    """Intrinsic rewards by name; each is an ``IntrinsicReward`` (``memory/base.py``)."""
    raise NotImplementedError
