"""Warnings of ours that reach the user, whatever a library did to the root logger."""

from __future__ import annotations

import logging


class WhereOthersAreSilent(logging.StreamHandler):  # type: ignore[type-arg]
    """Write to stderr what no handler of the root logger takes."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether every handler of the root logger would drop the record."""
        return all(record.levelno < handler.level for handler in logging.root.handlers)


def speak() -> None:
    """Make the package's warnings heard.

    Where vLLM's server is imported, as in verl's driver, the root logger and its handlers are
    raised to ERROR, and with them every logger that has no level of its own.
    """
    ours = logging.getLogger("sparft_plugin")
    ours.setLevel(logging.WARNING)
    if not any(isinstance(handler, WhereOthersAreSilent) for handler in ours.handlers):
        handler = WhereOthersAreSilent()
        handler.setFormatter(logging.Formatter("%(levelname)s:%(asctime)s:%(message)s"))
        ours.addHandler(handler)
