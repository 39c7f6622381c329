"""Static embeddings by model2vec: a look-up per token in place of a transformer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError, import_extra
from sparft_plugin.reduction.embedders.base import Embedder, readable
from sparft_plugin.reduction.embedders.models import Weights, download, find_weights, unreachable


@dataclass
class Model2VecEmbedder(Embedder):
    """Encode with a model2vec static model: the fast path for corpora of millions.

    Word order is lost, so clusters follow vocabulary more than meaning. ``model`` is a local folder
    or a Hugging Face hub id, such as ``minishlab/potion-base-8M``; none is packaged here.
    """

    owner: ClassVar[str] = "minishlab"

    model: str | None = None
    _loaded: Any = field(default=None, init=False, repr=False, compare=False)

    @property
    def identity(self) -> str:
        """``name@revision``: a folder's content hash or a hub commit."""
        return self._weights.identity

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode n texts; a SparftError says if the weights cannot be reached."""
        # model2vec cannot encode nothing.
        readables = [readable(text) for text in texts] or [""]
        encoded = self._load().encode(readables)[: len(texts)]
        vectors = np.asarray(encoded, dtype=np.float32)
        # In double precision, where the squares of no float32 underflow.
        norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
        unit: NDArray[np.float32] = (vectors / np.where(norms > 0, norms, 1)).astype(np.float32)
        return unit

    @cached_property
    def _weights(self) -> Weights:
        if self.model is None or self.model == "all-MiniLM-L6-v2":
            raise SparftError(
                "the embedder 'model2vec' needs a static model: set encoder to a folder or a hub "
                "id such as minishlab/potion-base-8M."
            )
        return find_weights(self.model, owner=self.owner)

    def _load(self) -> Any:
        if self._loaded is None:
            import_extra("static", "the encoder", "model2vec")
            from model2vec import StaticModel

            try:
                self._loaded = StaticModel.from_pretrained(download(self._weights))
            except Exception as error:
                # Broken weights make each library below raise an error of its own.
                raise unreachable(self._weights.location, error) from error
        return self._loaded
