"""verl 0.7 and 0.8 on a CPU: they have no registry of platforms, so functions are replaced here."""

from __future__ import annotations

import sys
import types
from typing import Any

import verl.utils.device as device

from verl_cpu.device import CpuDeviceModule, deduplicate_backends, never_pin_memory


def _stand_in_for_cuda() -> None:
    """Give verl a CPU where it asks for its accelerator.

    Ray is started with a logical GPU, so verl's placement stays as it is.
    """
    module = CpuDeviceModule()
    device.get_torch_device = lambda: module
    device.get_nccl_backend = lambda: "gloo"
    device.get_resource_name = lambda: "GPU"


def _register_engines_for_the_cpu() -> None:
    """The FSDP engine is registered for cuda and npu only; on a CPU it is the same class."""
    from verl.workers.engine.base import EngineRegistry

    for backends in EngineRegistry._engines.values():
        for devices in backends.values():
            if "cuda" in devices:
                devices.setdefault("cpu", devices["cuda"])


def _name_the_device() -> None:
    """Give the CPU a uuid: verl names the socket of its weight transfer after the device's."""
    from vllm.platforms.interface import Platform

    Platform.get_device_uuid = classmethod(lambda cls, device_id=0: "cpu")


def _pad_without_flash_attention() -> None:
    """Let verl pack and pad batches as on an NPU, in torch; elsewhere it does so by flash-attn."""
    from verl.utils import attention_utils
    from verl.utils.npu_flash_attn_utils import index_first_axis, pad_input, rearrange, unpad_input

    functions = index_first_axis, pad_input, rearrange, unpad_input
    attention_utils._get_attention_functions = lambda: functions


def _leave_out_fp8() -> None:
    """Stand in for verl's FP8 patches, whose vLLM classes the CPU build of vLLM has moved."""
    name = "verl.utils.vllm.vllm_fp8_utils"
    stub = types.ModuleType(name)

    def load_quanted_weights(*args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("FP8 rollouts need a GPU.")

    stub.apply_vllm_fp8_patches = lambda *args, **kwargs: None
    stub.is_fp8_model = lambda config: False
    stub.load_quanted_weights = load_quanted_weights
    sys.modules[name] = stub


_stand_in_for_cuda()
_register_engines_for_the_cpu()
_name_the_device()
_pad_without_flash_attention()
_leave_out_fp8()
deduplicate_backends()
never_pin_memory()
