"""Training data from files, folders and Hugging Face datasets, as one list of rows for verl."""

from sparft_plugin.corpus.columns import Columns
from sparft_plugin.corpus.corpus import Corpus
from sparft_plugin.corpus.sources import open_sources

__all__ = ["Columns", "Corpus", "open_sources"]
