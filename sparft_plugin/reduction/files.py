"""Files that are there whole or not at all, and where things that can be made again are kept."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sparft_plugin.errors import SparftError


def cache_folder(kind: str) -> Path:
    """Folder of one kind of things in ``$SPARFT_CACHE``, or in ``~/.cache/sparft``."""
    root = os.environ.get("SPARFT_CACHE") or "~/.cache/sparft"
    return Path(root).expanduser() / kind


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path in the folder of ``path``; on success it becomes ``path``.

    If the block raises, whatever stood at ``path`` before is untouched and nothing is left behind.
    Where ``path`` is a link, it stays one and the file behind it is replaced.
    """
    path = path.resolve() if path.is_symlink() else path
    temporary = _beside(path)
    try:
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file is on disk; an OSError if there is no room for it."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def check_link(path: Path) -> None:
    """Refuse to write to a link that leads nowhere."""
    if path.is_symlink() and not path.exists():
        raise SparftError(
            f"{path} is a link to {os.readlink(path)}, which does not exist; remove the link or "
            "choose another output."
        )


def check_writable(path: Path) -> None:
    """Make the temporary file that ``whole_file`` would, and remove it, or raise an OSError."""
    temporary = _beside(path.resolve())
    temporary.touch()
    temporary.unlink()


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
