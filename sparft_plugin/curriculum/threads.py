"""One thread for linear algebra: threads add floats up in any order."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


@lru_cache(maxsize=1)
def _threads() -> ThreadpoolController:
    # It knows only libraries that are loaded, hence scikit-learn first; looking for them is slow.
    import sklearn.linear_model  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def one_thread() -> AbstractContextManager[Any]:
    """No last bit depends on the number of threads, and a busy machine costs little."""
    limited: AbstractContextManager[Any] = _threads().limit(limits=1)
    return limited
