"""Which processes live, told by locks that the kernel drops with their holder."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import IO


def hold(path: Path, patience: float = 0.0) -> IO[bytes] | None:
    """Lock a file for as long as the returned handle is open; None if someone else holds it.

    Parameters
    ----------
    path : Path
        Made if it does not exist, its folder too. The file system must know ``flock``.
    patience : float >= 0, default 0
        Seconds to wait for another holder to end.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + patience
    while True:
        file = path.open("ab")
        if _locked(file) and _is_at(path, file):
            return file
        file.close()
        if time.monotonic() >= end:
            return None
        time.sleep(0.1)


def living(folder: Path, without: str) -> list[str]:
    """Names of the files in a folder that are held, all but one; those of the dead are removed."""
    held = []
    for path in sorted(folder.glob("*")):
        if path.name == without:
            continue
        lock = hold(path)
        if lock is None:
            held.append(path.name)
        else:
            path.unlink()
            lock.close()
    return held


def _locked(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(path: Path, file: IO[bytes]) -> bool:
    """Whether the path still names the locked file; it may have been removed before the lock."""
    return path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno()))
