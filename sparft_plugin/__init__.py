"""Data-efficient reinforcement learning for language models, as plugins for the trainer you have.

The package root stays light: ``import sparft_plugin`` loads neither torch, ray nor verl.
"""

from sparft_plugin.errors import SparftError

__version__ = "0.1.0"

__all__ = ["SparftError", "__version__"]
