"""A CPU in verl 0.9's registry of platforms.

The two functions of torch that ``device`` replaces are the only ones, and each says why.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from verl.plugin.platform import PlatformBase, PlatformRegistry

from verl_cpu.device import CpuDeviceModule, deduplicate_backends, never_pin_memory


@PlatformRegistry.register(platform="cpu")
class CpuPlatform(PlatformBase):
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


deduplicate_backends()
never_pin_memory()
