"""Milliseconds spent in the plugin, split by part."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class PartTimer:
    """Adds up wall time per part until it is taken."""

    def __init__(self) -> None:
        self._ms: dict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time the block under a name."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._ms[name] += 1000 * (time.perf_counter() - began)

    def take(self) -> dict[str, float]:
        """Return milliseconds per part and their sum ``plugin``, and start again from zero.

        verl averages the metrics of a step's mini-batches, but sums those with "total" in their
        name: under that name the parts would not add up.
        """
        taken, self._ms = dict(self._ms), defaultdict(float)
        return taken | {"plugin": sum(taken.values())}
