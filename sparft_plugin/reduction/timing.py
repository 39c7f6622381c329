"""Seconds of each part of a reduction."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Timing:
    """A stop-watch: ``with timing("embed"): ...``."""

    seconds: dict[str, float] = field(default_factory=dict)
    """Wall-clock seconds by part; a part that runs twice adds up."""

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Add the time of a block."""
        start = time.perf_counter()
        yield
        spent = self.seconds.get(part, 0.0) + time.perf_counter() - start
        self.seconds[part] = round(spent, 4)
