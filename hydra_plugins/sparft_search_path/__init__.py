"""Lets hydra find ``+sparft=NAME`` from any folder (hydra's plugin namespace)."""

import sys
from importlib import metadata

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from sparft_plugin.config.arguments import check_overrides
from sparft_plugin.errors import SparftError


class SparftSearchPath(SearchPathPlugin):
    """Append our folders behind the host's own search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append what fits the installed verl; the host's files keep precedence."""
        try:
            check_overrides(sys.argv[1:])
        except SparftError as error:
            sys.stderr.write(f"sparft: error: {error}\n")
            sys.exit(2)
        for folder in ("config", f"config.{verl_trainer()}"):
            search_path.append(provider="sparft_plugin", path=f"pkg://sparft_plugin.{folder}")


def verl_trainer() -> str:
    """Name the config folder for the installed verl; verl itself is not imported."""
    try:
        major, minor = (int(part) for part in metadata.version("verl").split(".")[:2])
    except metadata.PackageNotFoundError:
        return "verl_v1"
    return "verl_v1" if (major, minor) >= (0, 9) else "verl_legacy"
