"""Text encoders, one per file."""

from sparft_plugin.reduction.embedders.base import Embedder

__all__ = ["Embedder"]
