"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sparft_plugin.errors import SparftError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path in the folder of ``path``; on success it becomes ``path``.

    If the block raises, whatever stood at ``path`` before is untouched and nothing is left behind.
    Where ``path`` is a link, it stays one and the file behind it is replaced.
    """
    path = path.resolve() if path.is_symlink() else path
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def check_link(path: Path) -> None:
    """Refuse to write to a link that leads nowhere.

    Raises
    ------
    SparftError
        Naming the link and what it leads to.
    """
    if path.is_symlink() and not path.exists():
        raise SparftError(
            f"{path} is a link to {os.readlink(path)}, which does not exist; remove the link or "
            "choose another output."
        )
