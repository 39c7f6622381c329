"""Lets hydra find ``+sparft=NAME`` from any folder (hydra's plugin namespace)."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin


class SparftSearchPath(SearchPathPlugin):
    """Append ``sparft_plugin.config`` behind the host's own search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append our folder; the host's files keep precedence."""
        search_path.append(provider="sparft_plugin", path="pkg://sparft_plugin.config")
