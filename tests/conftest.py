"""Every test has a cache of its own, and leaves the user's alone."""

from __future__ import annotations

import pytest
from hypothesis import settings


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SPARFT_CACHE", str(tmp_path_factory.mktemp("cache")))


# A busy machine is no failure; examples are bounded by their number.
settings.register_profile("sparft", deadline=None)
settings.load_profile("sparft")
