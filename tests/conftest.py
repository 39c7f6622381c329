"""Every test has a cache of its own, and leaves the user's alone."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SPARFT_CACHE", str(tmp_path_factory.mktemp("cache")))


# The same few examples for everybody, so that `make test` does not depend on luck; what the random
# search of `make test-slow` finds becomes an explicit `@example`. A busy machine is no failure.
TIMELESS = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("same", TIMELESS, max_examples=25, derandomize=True)
settings.register_profile("search", TIMELESS, max_examples=500, print_blob=True)
settings.load_profile("same")
