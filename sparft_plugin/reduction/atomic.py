"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path in the folder of ``path``; on success it becomes ``path``.

    If the block raises, whatever stood at ``path`` before is untouched and nothing is left behind.
    """
    temporary = _beside(path)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Make the temporary file that ``whole_file`` would, and remove it.

    Raises
    ------
    OSError
        If the folder takes no such file.
    """
    temporary = _beside(path)
    temporary.touch()
    temporary.unlink()


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
