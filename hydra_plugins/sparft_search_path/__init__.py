"""Lets hydra find ``+sparft=NAME`` from any folder (hydra's plugin namespace)."""

import sys

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from sparft_plugin.config.arguments import check_overrides
from sparft_plugin.errors import SparftError


class SparftSearchPath(SearchPathPlugin):
    """Append ``sparft_plugin.config`` behind the host's own search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append our folder; the host's files keep precedence."""
        try:
            check_overrides(sys.argv[1:])
        except SparftError as error:
            sys.stderr.write(f"sparft: error: {error}\n")
            sys.exit(2)
        search_path.append(provider="sparft_plugin", path="pkg://sparft_plugin.config")
