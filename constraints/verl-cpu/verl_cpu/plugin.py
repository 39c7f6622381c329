"""What verl and vLLM load in each of their processes; nothing happens without VERL_PLATFORM=cpu.

verl 0.9 and vLLM find it by the entry points beside this package; for verl 0.7 and 0.8 set
``VERL_USE_EXTERNAL_MODULES=verl_cpu.plugin``.
"""

from __future__ import annotations

import importlib.util
import os

if os.environ.get("VERL_PLATFORM") == "cpu":
    if importlib.util.find_spec("verl.plugin") is not None:
        from verl_cpu import platform  # noqa: F401
    else:
        from verl_cpu import legacy  # noqa: F401


def keep_weights_replaceable() -> None:
    """Switch off vLLM's oneDNN weight packing, so that verl can send new weights each step.

    vLLM's CPU linear layers otherwise pre-pack their weights and drop ``layer.weight``, and the
    next weight sync fails.
    """
    if os.environ.get("VERL_PLATFORM") == "cpu":
        import vllm._custom_ops

        vllm._custom_ops._supports_onednn = False
