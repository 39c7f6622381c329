"""Embeddings of a corpus, read a block at a time."""

from sparft_plugin.reduction.vectors.base import Part, Vectors
from sparft_plugin.reduction.vectors.given import ArrayPart, FilePart, given_vectors

__all__ = ["ArrayPart", "FilePart", "Part", "Vectors", "given_vectors"]
