"""Tests of verl versions that ``make test`` does not install; see ``versions.mk``."""

from __future__ import annotations

from importlib import metadata

import pytest
from packaging.version import Version

collect_ignore_glob: list[str] = []
if Version(metadata.version("verl")) >= Version("0.9"):
    collect_ignore_glob.append("test_*.py")


@pytest.fixture(scope="session")
def version() -> str:
    """Return the version of verl under test."""
    return metadata.version("verl")
