"""What verl takes for an accelerator's module, on a CPU; the same for every verl version."""

from __future__ import annotations

import types
from typing import Any

import torch
import torch.distributed


class CpuDeviceModule(types.ModuleType):
    """``torch.cpu`` with the memory and RNG calls that verl makes on ``torch.cuda``."""

    def __init__(self) -> None:
        super().__init__("verl_cpu_device")

    def __getattr__(self, name: str) -> Any:
        return getattr(torch.cpu, name)

    @staticmethod
    def is_available() -> bool:
        """Always true."""
        return True

    @staticmethod
    def get_device_name(device: Any = None) -> str:
        """Name shown in verl's logs."""
        return "cpu"

    @staticmethod
    def set_device(device: Any) -> None:
        """Nothing to select: there is one CPU device."""

    @staticmethod
    def empty_cache() -> None:
        """Nothing is cached."""

    @staticmethod
    def ipc_collect() -> None:
        """No IPC handles exist."""

    @staticmethod
    def reset_peak_memory_stats(device: Any = None) -> None:
        """No statistics are kept."""

    @staticmethod
    def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
        """Main memory is not partitioned."""

    @staticmethod
    def memory_allocated(device: Any = None) -> int:
        """Bytes: always 0, main memory is not tracked per tensor."""
        return 0

    memory_reserved = max_memory_allocated = max_memory_reserved = memory_allocated

    @staticmethod
    def mem_get_info(device: Any = None) -> tuple[int, int]:
        """Bytes free and in all, of main memory."""
        import psutil

        memory = psutil.virtual_memory()
        return memory.available, memory.total

    @staticmethod
    def manual_seed(seed: int) -> None:
        """Seed torch's CPU generator."""
        torch.manual_seed(seed)

    manual_seed_all = manual_seed

    @staticmethod
    def get_rng_state(device: Any = None) -> torch.Tensor:
        """State of torch's CPU generator."""
        return torch.get_rng_state()

    @staticmethod
    def set_rng_state(state: torch.Tensor, device: Any = None) -> None:
        """Restore torch's CPU generator."""
        torch.set_rng_state(state)


def deduplicate_backends() -> None:
    """Let ``init_process_group`` take verl's ``"cpu:gloo,cpu:gloo"``.

    verl composes ``cpu:gloo,<device>:<backend>``; torch refuses a device named twice.
    """
    original = torch.distributed.init_process_group

    def init_process_group(backend: str | None = None, *args: Any, **kwargs: Any) -> None:
        if isinstance(backend, str) and "," in backend:
            backend = ",".join(dict.fromkeys(backend.split(",")))
        original(backend, *args, **kwargs)

    torch.distributed.init_process_group = init_process_group


def never_pin_memory() -> None:
    """Let the reference policy offload without pinned memory.

    verl asks for ``CPUOffloadPolicy(pin_memory=True)``; pinning needs an accelerator.
    """
    from torch.distributed.fsdp import CPUOffloadPolicy

    original = CPUOffloadPolicy.__init__

    def init(self: Any, pin_memory: bool = True) -> None:
        original(self, pin_memory=False)

    CPUOffloadPolicy.__init__ = init
