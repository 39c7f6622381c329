"""A thread for encoding beside generation, which comes first."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

NICENESS = 10


def background_thread(name: str) -> ThreadPoolExecutor:
    """Return an executor of one thread; it and those it starts give way where cores are short.

    The processes that generate and train keep an accelerator busy, or on a CPU are the work
    itself; what is encoded beside them must not slow them down.
    """
    return ThreadPoolExecutor(1, name, initializer=_give_way)


def free_cores() -> int:
    """Cores of this machine that this process may use, whatever Ray counts for it."""
    return len(os.sched_getaffinity(0))


def _give_way() -> None:
    # On Linux a priority is a thread's own; elsewhere it would be the whole process's.
    if sys.platform == "linux":
        own = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, own, os.getpriority(os.PRIO_PROCESS, own) + NICENESS)
