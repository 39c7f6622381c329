"""Where the heavy parts of a reduction run: in this process, or on a Ray cluster."""

from sparft_plugin.reduction.engines.base import Engine, Local, open_engine

__all__ = ["Engine", "Local", "open_engine"]
