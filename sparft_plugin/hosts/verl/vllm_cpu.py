"""A vLLM plugin that keeps CPU weights replaceable, so that verl can sync them each step."""

from __future__ import annotations

import os


def register() -> None:
    """Switch off oneDNN weight packing where ``VERL_PLATFORM=cpu`` is set.

    vLLM's CPU linear layers otherwise pre-pack their weights and drop ``layer.weight``, and the
    next weight sync fails. vLLM calls this in each of its processes (``vllm.general_plugins``).
    """
    if os.environ.get("VERL_PLATFORM") != "cpu":
        return
    import vllm._custom_ops

    vllm._custom_ops._supports_onednn = False
