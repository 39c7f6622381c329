"""Encoding on a Ray cluster, by Ray Data."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sparft_plugin.errors import SparftError, import_extra
from sparft_plugin.reduction.cache import SCRATCH

Result = TypeVar("Result")
Task = Callable[[Sequence[str]], Result]


def map_on_ray(
    task: Task[Result], chunks: Iterable[Sequence[str]], shared: Path
) -> Iterator[Result]:
    """Run a task for every chunk of texts; the results come in any order.

    Every worker of one core keeps its task, weights and all. The cluster that ``RAY_ADDRESS`` names
    is used, else one is started on this machine. Chunks are written to files in the folder
    ``shared``, which workers find under the same path. A SparftError of the task is raised here.
    """
    import_extra("ray", "the engine ray", "ray")
    import ray
    import ray.data

    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    # It tells of every plan.
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    workers = max(1, int(ray.cluster_resources().get("CPU", 1)))
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=shared) as scratch:
        rows = []
        for number, texts in enumerate(chunks):
            path = Path(scratch) / f"{number}.json"
            path.write_text(json.dumps(texts), encoding="utf-8")
            rows.append({"chunk": str(path)})
        blocks = min(len(rows), 4 * workers)
        dataset = ray.data.from_items(rows, override_num_blocks=blocks).map(
            _Worker,
            fn_constructor_args=(task,),
            compute=ray.data.ActorPoolStrategy(size=min(workers, len(rows))),
            num_cpus=1,
        )
        for row in dataset.iter_rows():
            if row["problem"]:
                raise SparftError(row["problem"])
            # A sign of life: ``prune`` removes what nobody touched for a week.
            os.utime(scratch)
            yield row["result"]


class _Worker:
    """One process of the cluster with its task."""

    def __init__(self, task: Task[Any]) -> None:
        self._task = task

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        texts = json.loads(Path(row["chunk"]).read_text("utf-8"))
        # Ray keeps the text of an error that a task raises, but not its class.
        try:
            return {"result": self._task(texts), "problem": ""}
        except SparftError as error:
            return {"result": None, "problem": str(error)}
