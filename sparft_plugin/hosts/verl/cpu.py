"""A CPU platform for verl: the whole trainer on a laptop, for tests, recipes and first steps.

Loaded only where ``VERL_PLATFORM=cpu`` is set. verl has its own platform registry; the two
functions of torch that are replaced below are the only ones, and each says why.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed
from verl.plugin.platform import PlatformBase, PlatformRegistry


class CpuDeviceModule(types.ModuleType):
    """``torch.cpu`` with the memory and RNG calls that verl makes on ``torch.cuda``."""

    def __init__(self) -> None:
        super().__init__("sparft_cpu_device")

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


@PlatformRegistry.register(platform="cpu")
class CpuPlatform(PlatformBase):  # type: ignore[misc]
    """verl's platform contract on a CPU: gloo collectives, weights sent through shared memory."""

    _device_module = CpuDeviceModule()

    @property
    def device_name(self) -> str:
        """The torch device type."""
        return "cpu"

    @property
    def vendor_name(self) -> str:
        """The name verl knows this platform by."""
        return "cpu"

    @property
    def device_module(self) -> types.ModuleType:
        """What stands in for ``torch.cuda``."""
        return self._device_module

    def is_available(self) -> bool:
        """Always true."""
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        """Never picked by auto-detection, only by ``VERL_PLATFORM=cpu``."""
        return False

    def current_device(self) -> Any:
        """A device, not an index: ``"cpu:0"`` is not what torch's state dicts expect."""
        return torch.device("cpu")

    def device_count(self) -> int:
        """One CPU device."""
        return 1

    def set_device(self, device_index: int) -> None:
        """Nothing to select."""

    def synchronize(self, device_index: int | None = None) -> None:
        """CPU work is synchronous."""

    def manual_seed(self, seed: int) -> None:
        """Seed torch's CPU generator."""
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        """Seed torch's CPU generator."""
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings: str) -> None:
        """No allocator to set."""

    def empty_cache(self) -> None:
        """Nothing is cached."""

    def get_device_capability(self, device_index: int = 0) -> tuple[int | None, int | None]:
        """No compute capability."""
        return None, None

    def communication_backend_name(self) -> str:
        """Collective backend."""
        return "gloo"

    def visible_devices_envvar(self) -> str:
        """The variable Ray sets for the logical GPU it counts for us."""
        return "CUDA_VISIBLE_DEVICES"

    @contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        """No profiler ranges."""
        yield

    def profiler_start(self) -> None:
        """No profiler."""

    def profiler_stop(self) -> None:
        """No profiler."""

    def ray_resource_name(self) -> str:
        """Ray is started with a logical GPU, so verl's placement stays as it is."""
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        """None."""
        return []

    def is_ipc_supported(self) -> bool:
        """False: verl then sends weights through shared memory."""
        return False

    def cudart(self) -> Any:
        """No CUDA runtime."""
        return None


def _deduplicate_backends() -> None:
    """Let ``init_process_group`` take verl's ``"cpu:gloo,cpu:gloo"``.

    verl composes ``cpu:gloo,<device>:<backend>``; torch refuses a device named twice.
    """
    original = torch.distributed.init_process_group

    def init_process_group(backend: str | None = None, *args: Any, **kwargs: Any) -> None:
        if isinstance(backend, str) and "," in backend:
            backend = ",".join(dict.fromkeys(backend.split(",")))
        original(backend, *args, **kwargs)

    torch.distributed.init_process_group = init_process_group


def _never_pin_memory() -> None:
    """Let the reference policy offload without pinned memory.

    verl asks for ``CPUOffloadPolicy(pin_memory=True)``; pinning needs an accelerator.
    """
    from torch.distributed.fsdp import CPUOffloadPolicy

    original = CPUOffloadPolicy.__init__

    def init(self: Any, pin_memory: bool = True) -> None:
        original(self, pin_memory=False)

    CPUOffloadPolicy.__init__ = init


_deduplicate_backends()
_never_pin_memory()
