"""Real verl runs, each made once and looked at by several tests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

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
