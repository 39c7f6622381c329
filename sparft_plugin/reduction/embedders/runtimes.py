"""What computes a forward pass: torch, or OpenVINO on CPUs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.errors import SparftError
from sparft_plugin.reduction.embedders.weights import not_installed

CPU_INFO = Path("/proc/cpuinfo")
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""What x86 and ARM call it."""

Compute = Callable[[Mapping[str, Any]], NDArray[np.float32]]
"""Maps the features of a pass to unit vectors, shape (rows, d); called from several threads."""


def torch_runtime(model: Any, precision: str) -> Compute:
    """Run a sentence-transformers model as it is, in float32 or bfloat16.

    Raises
    ------
    SparftError
        If it is on a CPU without bfloat16 instructions, where bfloat16 is slower than float32.
    """
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


def openvino_runtime(model: Any, precision: str, threads: int) -> Compute:
    """Compile a sentence-transformers model with OpenVINO; a pass keeps to one thread.

    Parameters
    ----------
    model : SentenceTransformer
        The model, on the CPU.
    precision : {"float32", "bfloat16"}
        What the CPU computes in.
    threads : int >= 1
        Passes that run side by side.

    Raises
    ------
    SparftError
        If the package is missing or the CPU has no bfloat16 instructions.
    """
    try:
        import openvino
    except ImportError as error:
        raise not_installed("openvino", "openvino") from error
    core = openvino.Core()
    if precision == "bfloat16":
        require_bfloat16(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
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


def has_bfloat16() -> bool:
    """Whether Linux says that this CPU has bfloat16 instructions."""
    return CPU_INFO.exists() and bool(BFLOAT16_FLAGS & set(CPU_INFO.read_text().split()))


def require_fast_bfloat16() -> None:
    """Refuse a CPU on which torch computes bfloat16 six times slower than float32.

    Linux tells what the CPU has; elsewhere nothing is refused.

    Raises
    ------
    SparftError
        Naming the option to change.
    """
    if CPU_INFO.exists() and not has_bfloat16():
        raise SparftError(
            "precision=bfloat16 is several times slower than float32 on this CPU, which has "
            "neither AVX512-BF16 nor AMX; use precision=float32."
        )


def require_bfloat16(capabilities: list[str]) -> None:
    """Refuse a CPU without bfloat16 instructions, where OpenVINO would compute in float32.

    Raises
    ------
    SparftError
        Naming the option to change.
    """
    if "BF16" not in capabilities:
        raise SparftError(
            "precision=bfloat16 needs a CPU with bfloat16 instructions for backend=openvino; "
            "use precision=float32."
        )


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
