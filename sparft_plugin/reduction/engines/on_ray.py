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
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
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
        for row in dataset.iter_rows():
            if row["problem"]:
                raise SparftError(row["problem"])
            yield row["result"]


class _Worker:
    """One process of the cluster with its task."""

    def __init__(self, task: Callable[[Any], Any]) -> None:
        self._task = task

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        # Ray keeps the text of an error that a task raises, but not its class.
        try:
            return {"result": self._task(row["item"]), "problem": ""}
        except SparftError as error:
            return {"result": None, "problem": str(error)}
