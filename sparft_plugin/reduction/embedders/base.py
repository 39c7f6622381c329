"""The contract of a text encoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray


def readable(text: str) -> str:
    """Put a question mark for half of a surrogate pair, which no tokenizer reads."""
    return text.encode("utf-8", "replace").decode("utf-8")


class Embedder(ABC):
    """Turns texts into vectors.

    A registered embedder is a dataclass whose option ``model`` (a string) names its weights; that
    is where ``ReductionConfig.encoder`` goes.
    """

    owner: ClassVar[str] = "sentence-transformers"
    """Owner on the Hugging Face hub of a model that is named without one."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """``name@revision`` of the weights; asked before any text is encoded, so it is cheap."""

    @property
    def arithmetic(self) -> str:
        """What else decides the last bits, such as the kind of device; part of the cache's key."""
        return ""

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode n texts, repeats allowed: unit vectors, shape (n, d), in the order of the texts.

        The vector of a text should depend on that text alone, to the last bit: it is kept on disk
        and met again beside other texts.
        """
