"""How many examples a property is tried with; ``conftest.py`` says how many others are."""

from __future__ import annotations

from hypothesis import settings

COSTLY = settings(max_examples=settings.default.max_examples // 5)
"""For a property whose examples take tens of milliseconds."""
