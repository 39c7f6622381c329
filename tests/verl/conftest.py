"""Real verl runs, each made once and looked at by several tests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.verl.harness import VerlRun, overrides, run_verl, write_workspace

REDUCTION = {"difficulty_key": "extra_info.difficulty", "clusters": 4, "per_cluster": 3}
EVERY_PLUGIN = (
    "+sparft=sparft_memory",
    *(f"sparft.reduction.{option}={value}" for option, value in REDUCTION.items()),
    "+sparft.memory.warmup_steps=1",
    # The likeliest token always: what a prompt is answered depends on the weights alone.
    "actor_rollout_ref.rollout.top_k=1",
    "trainer.test_freq=3",
)


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


@dataclass
class Uninterrupted:
    """A run that others are compared with, and where it was made."""

    workspace: Workspace
    run: VerlRun


def every_step(folder: Path) -> list[str]:
    """Save a checkpoint, and the rollouts as verl trained on them, after each step."""
    return ["trainer.save_freq=1", f"trainer.rollout_data_dir={folder}/rollouts"]


def decisions(row: dict[str, Any]) -> dict[str, Any]:
    """Everything the plugin decided and was told; times differ, the rest must not."""
    return {k: v for k, v in row.items() if k.startswith("sparft/") and "/ms/" not in k}


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with model, data and reward."""
    folder = tmp_path_factory.mktemp("template")
    write_workspace(folder)
    return folder


@pytest.fixture(scope="session")
def uninterrupted(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Uninterrupted:
    """Return a run of five steps through every plugin, with a checkpoint after each."""
    import shutil

    folder = tmp_path_factory.mktemp("one_go")
    shutil.copytree(template, folder, dirs_exist_ok=True)
    workspace = Workspace(folder)
    run = workspace.train(5, *EVERY_PLUGIN, *every_step(folder))
    assert run.returncode == 0, run.output[-4000:]
    return Uninterrupted(workspace, run)


@pytest.fixture(scope="module")
def workspace(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return a fresh copy of the template for one module."""
    import shutil

    folder = tmp_path_factory.mktemp("verl")
    shutil.copytree(template, folder, dirs_exist_ok=True)
    return Workspace(folder)
