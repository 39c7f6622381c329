"""Every test has a cache of its own, and leaves the user's alone."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SPARFT_CACHE", str(tmp_path_factory.mktemp("cache")))
