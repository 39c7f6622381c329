"""The checkpoint that verl is about to resume from."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path

import torch
from omegaconf import DictConfig

logger = logging.getLogger(__name__)

DATASET_STATE = "dataset_state"
"""Where torchdata keeps the state of a dataset that lives in the trainer's process."""


def saved_pool(recipe: DictConfig) -> str | None:
    """Return what the run that is resumed told of its reduced prompts, before verl loads the rest.

    Parameters
    ----------
    recipe : DictConfig
        The whole config of the run.

    Returns
    -------
    str or None
        ``Pool.saved`` of that run; None where nothing is resumed, or its state has none.
    """
    folder = checkpoint_folder(recipe.trainer) if "trainer" in recipe else None
    file = folder / "data.pt" if folder else None
    if file is None or not file.exists():
        return None
    try:
        # Mapped, so that the memory's bytes stay on disk.
        state = torch.load(file, weights_only=True, mmap=True).get(DATASET_STATE)
    except pickle.UnpicklingError as error:
        reason = str(error).splitlines()[0]
        logger.warning(
            "sparft: %s holds more than plain data (%s); prompts are reduced anew.", file, reason
        )
        return None
    pool: str | None = (state or {}).get("pool")
    return pool


def checkpoint_folder(trainer: DictConfig) -> Path | None:
    """Return the folder that verl resumes from; None where it starts from scratch."""
    if trainer.resume_mode == "disable":
        return None
    if trainer.resume_mode == "resume_path":
        return Path(trainer.resume_from_path).absolute()
    folder = Path(trainer.default_local_dir).absolute()
    newest = folder / "latest_checkpointed_iteration.txt"
    if not newest.exists():
        return None
    step = folder / f"global_step_{int(newest.read_text())}"
    return step if step.exists() else None
