"""Weights from trainer to rollout through a file: a transport that needs no accelerator."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import torch
from verl.checkpoint_engine.base import CheckpointEngine, CheckpointEngineRegistry
from verl.workers.rollout.utils import ensure_async_iterator


@CheckpointEngineRegistry.register("file")
class FileCheckpointEngine(CheckpointEngine):  # type: ignore[misc]
    """One file per weight version in a folder that trainer and rollout share."""

    def __init__(self, bucket_size: int, folder: str, is_master: bool = False) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(exist_ok=True)

    def prepare(self) -> dict[str, Any]:
        return {}

    @classmethod
    def build_topology(cls, trainers: int, rollouts: int, metadata: Any) -> Any:
        return {"rank": list(range(trainers))}, {"rank": [-1] * rollouts}

    def init_process_group(self, rank: int) -> None:
        self.rank = rank

    def finalize(self) -> None:
        """Nothing was opened."""

    async def send_weights(self, weights: Any, global_steps: int | None = None) -> None:
        pairs = ensure_async_iterator(weights)
        named = {name: weight.cpu().clone() async for name, weight in pairs}
        if self.rank == 0:
            torch.save(named, self.folder / "half.pt")
            os.replace(self.folder / "half.pt", self.folder / f"{global_steps}.pt")

    async def receive_weights(
        self, global_steps: int | None = None
    ) -> AsyncIterator[tuple[str, torch.Tensor]]:
        path = self.folder / f"{global_steps}.pt"
        while not path.exists():
            await asyncio.sleep(0.05)
        for name, weight in torch.load(path).items():
            yield name, weight
