"""The engine of a Ray cluster, by Ray Data."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sparft_plugin.errors import SparftError
from sparft_plugin.reduction.engines.base import Engine, Item, Result


class OnRay(Engine):
    """Items are rows of a Ray dataset; every worker of one core keeps its task, weights and all.

    The cluster that ``RAY_ADDRESS`` names is used, else one is started on this machine. Workers
    read and write the cache and the inputs under the same paths as this process, so on several
    machines these lie on a shared file system.

    Raises
    ------
    SparftError
        If Ray Data is not installed.
    """

    def __init__(self) -> None:
        try:
            import ray
            import ray.data
        except ImportError as error:
            raise SparftError(
                "the engine ray needs the package ray; pip install 'sparft-plugin[ray]'."
            ) from error
        self._ray = ray
        if not ray.is_initialized():
            ray.init(include_dashboard=False, log_to_driver=False)
        ray.data.DataContext.get_current().enable_progress_bars = False
        # It tells of every plan, and of every item that is no arrow value.
        logging.getLogger("ray.data").setLevel(logging.ERROR)

    @property
    def workers(self) -> int:
        """One worker a core of the cluster."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def map(self, task: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Run in any order.

        Raises
        ------
        SparftError
            What the task raised.
        """
        rows = [{"item": item} for item in items]
        if not rows:
            return
        blocks = min(len(rows), 4 * self.workers)
        dataset = self._ray.data.from_items(rows, override_num_blocks=blocks).map(
            _Worker,
            fn_constructor_args=(task,),
            compute=self._ray.data.ActorPoolStrategy(size=min(self.workers, len(rows))),
            num_cpus=1,
        )
        try:
            for row in dataset.iter_rows():
                yield row["result"]
        except self._ray.exceptions.RayError as error:
            raise _ours(error) from error


class _Worker:
    """One process of the cluster with its task."""

    def __init__(self, task: Callable[[Any], Any]) -> None:
        self._task = task

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"result": self._task(row["item"])}


def _ours(error: BaseException) -> BaseException:
    """Return the error that a task raised, if it is one that a user is meant to read."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, SparftError):
            return SparftError(str(found).strip().splitlines()[-1])
        found = getattr(found, "cause", None) or found.__cause__
    return error
