"""What ``import verl`` loads in every process (entry-point group ``verl.plugins``)."""

from __future__ import annotations

import os

if os.environ.get("VERL_PLATFORM") == "cpu":
    from sparft_plugin.hosts.verl import cpu  # noqa: F401
