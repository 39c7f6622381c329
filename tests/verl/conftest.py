"""Real verl runs, each made once and looked at by many tests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.verl.harness import VerlRun, overrides, run_verl, write_workspace


@dataclass
class Workspace:
    """A folder with a tiny model and tiny data, and the runs made in it."""

    folder: Path

    def train(self, steps: int, *extra: str) -> VerlRun:
        """Train for a number of steps; ``extra`` is what a user would add to the command line."""
        return run_verl(self.folder, [*overrides(self.folder, steps), *extra])

    def prompts_by_step(self, dumps: str) -> list[list[str]]:
        """Prompts that verl trained on, by step, from its own rollout dumps."""
        files = sorted((self.folder / dumps).glob("*.jsonl"), key=lambda path: int(path.stem))
        return [
            sorted({json.loads(line)["input"] for line in path.read_text().splitlines()})
            for path in files
        ]

    def rollouts(self, step: int) -> list[tuple[str, str]]:
        """Prompts and answers that verl trained on; it orders them by length or by arrival."""
        lines = (self.folder / f"rollouts/{step}.jsonl").read_text().splitlines()
        return sorted((row["input"], row["output"]) for row in map(json.loads, lines))

    def checkpoint(self, step: int) -> dict[str, Any]:
        """State of curriculum and memory in the checkpoint of a step."""
        import torch

        path = self.folder / f"checkpoints/global_step_{step}/data.pt"
        return _find(torch.load(path, weights_only=False), "curriculum")

    def saved(self, step: int) -> dict[str, Any]:
        """The same with the memory's header alone, which holds a fingerprint of its arrays."""
        state = self.checkpoint(step)
        return {**state, "memory": state["memory"]["header"]}


def _find(node: object, key: str) -> dict[str, Any]:
    """Find the sparft state inside torchdata's nested one."""
    if isinstance(node, dict):
        if key in node and "memory" in node:
            return node
        for value in node.values():
            if found := _find(value, key):
                return found
    return {}


def decisions(row: dict[str, Any]) -> dict[str, Any]:
    """Everything the plugin decided and was told; times differ, the rest must not."""
    return {k: v for k, v in row.items() if k.startswith("sparft/") and "/ms/" not in k}


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with model, data and reward."""
    folder = tmp_path_factory.mktemp("template")
    write_workspace(folder)
    return folder


@pytest.fixture(scope="module")
def workspace(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return a fresh copy of the template for one module."""
    import shutil

    folder = tmp_path_factory.mktemp("verl")
    shutil.copytree(template, folder, dirs_exist_ok=True)
    return Workspace(folder)
