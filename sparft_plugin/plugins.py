"""The plugin manager: who is installed, and which class a name stands for."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import MISSING
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any

import pluggy

from sparft_plugin import hookspecs
from sparft_plugin.errors import SparftError, refuse_unknown, unknown_name

logger = logging.getLogger(__name__)

KINDS = {
    "embedder": "register_embedders",
    "selector": "register_selectors",
    "curriculum": "register_curricula",
    "group filter": "register_group_filters",
    "intrinsic reward": "register_intrinsic_rewards",
}


@lru_cache(maxsize=1)
def manager() -> pluggy.PluginManager:
    """Load every installed plugin once per process; one that fails is a warning with its reason."""
    plugin_manager = pluggy.PluginManager(hookspecs.PROJECT)
    plugin_manager.add_hookspecs(hookspecs)
    for entry in entry_points(group=hookspecs.PROJECT):
        try:
            plugin_manager.register(entry.load(), name=entry.name)
        # A stranger's module may raise anything while it loads; it must not take the others down.
        except Exception as error:
            _warn(f"'{entry.name}' ({entry.value})", error)
    for name, plugin in plugin_manager.list_name_plugin():
        for attribute in dir(plugin):
            marked = plugin_manager.parse_hookimpl_opts(plugin, attribute) is not None
            # pluggy keeps silent of a hook that does not exist.
            if marked and attribute not in KINDS.values():
                unknown = unknown_name("hook", attribute, KINDS.values())
                logger.warning("plugin '%s': %s", name, unknown)
    return plugin_manager


def _warn(plugin: str, error: Exception) -> None:
    logger.warning("plugin %s was not loaded: %s: %s", plugin, type(error).__name__, error)


def registered(kind: str) -> dict[str, type[Any]]:
    """All classes of a kind by name; a name that two plugins register is a SparftError."""
    found: dict[str, type[Any]] = {}
    owner: dict[str, str] = {}
    for hook in getattr(manager().hook, KINDS[kind]).get_hookimpls():
        # A stranger's hook may import lazily, so this too is where its module can fail.
        try:
            offered = hook.function()
        except Exception as error:
            _warn(f"'{hook.plugin_name}'", error)
            continue
        for name, cls in offered.items():
            if name in found:
                raise SparftError(
                    f"the {kind} '{name}' is registered by both '{owner[name]}' and "
                    f"'{hook.plugin_name}'; uninstall one of them."
                )
            found[name], owner[name] = cls, hook.plugin_name
    return found


def lookup(kind: str, name: str) -> type[Any]:
    """Return the class registered under a name; for an unknown one the nearest is offered."""
    known = registered(kind)
    if not known:
        raise SparftError(
            f"no {kind} is registered, not even ours: sparft-plugin is on the path but not "
            "installed; pip install it (-e for a checkout)."
        )
    refuse_unknown(kind, [name], known)
    return known[name]


def option_names(cls: type[Any]) -> list[str]:
    """Names of the fields that a dataclass is constructed from."""
    return [field.name for field in dataclasses.fields(cls) if field.init]


def build(kind: str, name: str, options: Mapping[str, Any] | None = None) -> Any:
    """Construct the class registered under a name; options are its dataclass fields.

    Raises
    ------
    SparftError
        If the name or an option is unknown, or a value is out of its range.
    """
    cls = lookup(kind, name)
    options = dict(options or {})
    refuse_unknown(f"option of the {kind} '{name}'", options, option_names(cls))
    for field in dataclasses.fields(cls):
        optional = field.default is not MISSING or field.default_factory is not MISSING
        if field.init and not optional and field.name not in options:
            raise SparftError(f"the {kind} '{name}' needs its option '{field.name}'; set it.")
    return cls(**options)


def read_options(where: str, given: Sequence[str]) -> dict[str, Any]:
    """Read ``NAME=VALUE``, values as JSON where they are, else as text: ``device=cuda:1``.

    ``where`` says for messages what the options were given to.
    """
    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise SparftError(f"{where}: '{text}' must be NAME=VALUE.")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found
