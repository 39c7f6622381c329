"""Where things that can be made again are kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(kind: str) -> Path:
    """Folder of one kind of things in ``$SPARFT_CACHE``, or in ``~/.cache/sparft``."""
    root = os.environ.get("SPARFT_CACHE") or "~/.cache/sparft"
    return Path(root).expanduser() / kind
