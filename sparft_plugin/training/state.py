"""The run's state in a checkpoint folder: tensors for the memory, text for the rest, no pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from sparft_plugin.errors import SparftError
from sparft_plugin.reduction.files import whole_file

FILE = "sparft.safetensors"
STATE = "sparft"
"""Key of the file's header that holds all but the tensors, as JSON."""


def write_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Write what `TrainingRun.state_dict` gave, whole or not at all."""
    memory = state["memory"] or {}
    tensors = {name: part for name, part in memory.items() if not isinstance(part, str)}
    texts = {name: part for name, part in memory.items() if isinstance(part, str)}
    header = json.dumps({**state, "memory": texts if state["memory"] is not None else None})
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / FILE) as path:
        save_file(tensors, path, metadata={STATE: header})


def read_state(folder: Path) -> dict[str, Any]:
    """Read what `TrainingRun.load_state_dict` takes; a missing or damaged file is refused."""
    path = folder / FILE
    if not path.exists():
        raise SparftError(
            f"the checkpoint {folder} holds no {FILE}; it was written without sparft, so start a "
            "new run or resume without it."
        )
    try:
        with safe_open(path, framework="pt") as file:
            state: dict[str, Any] = json.loads(file.metadata()[STATE])
            if state["memory"] is not None:
                names = file.keys()
                state["memory"] |= {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, TypeError, KeyError, ValueError) as error:
        raise SparftError(
            f"{path} cannot be read ({type(error).__name__}: {error}); resume from an intact "
            "checkpoint."
        ) from error
    return state
