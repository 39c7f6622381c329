"""What ``import verl`` loads in every process of the CPU profile.

verl 0.9 finds it by the entry-point group ``verl.plugins`` of ``constraints/vllm-cpu-alias``; for
0.7 and 0.8 set ``VERL_USE_EXTERNAL_MODULES=sparft_plugin.hosts.verl.plugin``.
"""

from __future__ import annotations

import importlib.util
import os

if os.environ.get("VERL_PLATFORM") == "cpu":
    if importlib.util.find_spec("verl.plugin") is not None:
        from sparft_plugin.hosts.verl import cpu  # noqa: F401
    else:
        from sparft_plugin.hosts.verl.legacy import cpu as legacy_cpu  # noqa: F401
