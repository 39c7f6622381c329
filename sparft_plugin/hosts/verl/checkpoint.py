"""Our state in verl's checkpoints: read where verl resumes, given up where nothing can resume."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from omegaconf import DictConfig

from sparft_plugin.errors import SparftError

if TYPE_CHECKING:
    from sparft_plugin.training.run import TrainingRun

logger = logging.getLogger(__name__)

DATASET_STATE = "dataset_state"
"""Where torchdata keeps the state of a dataset that lives in the trainer's process."""
NEWEST = "latest_checkpointed_iteration.txt"


def checkpoint_folder(trainer: DictConfig) -> Path | None:
    """Return the folder that verl resumes from; None where it starts from scratch."""
    if trainer.resume_mode == "disable":
        return None
    if trainer.resume_mode == "resume_path":
        return Path(trainer.resume_from_path).absolute()
    folder = Path(trainer.default_local_dir).absolute()
    if not (folder / NEWEST).exists():
        return None
    step = folder / f"global_step_{int((folder / NEWEST).read_text())}"
    return step if step.exists() else None


def saved_pool(recipe: DictConfig) -> str | None:
    """Return what the run that is resumed told of its reduced prompts, before verl loads the rest.

    None where nothing is resumed, or its state has none; see `Pool.saved`.
    """
    folder = checkpoint_folder(recipe.trainer) if "trainer" in recipe else None
    if folder is None:
        return None
    try:
        # Mapped, so that the memory's bytes stay on disk.
        pool: str | None = _dataset_state(folder / "data.pt", mmap=True).get("pool")
    except pickle.UnpicklingError as error:
        logger.warning(
            "sparft: %s holds more than plain data (%s); prompts are reduced anew.",
            folder / "data.pt",
            str(error).splitlines()[0],
        )
        return None
    return pool


def restore(trainer: DictConfig, run: TrainingRun) -> None:
    """Restore a run's state where verl resumes; a checkpoint without it is a SparftError.

    verl 0.8 and the legacy trainer of 0.9 restore ``data.pt`` unless the checkpoint ends an epoch:
    then the dataset would silently start anew. In all other cases verl restores the same state
    again, which changes nothing.
    """
    folder = checkpoint_folder(trainer)
    if folder is None:
        return
    try:
        state = _dataset_state(folder / "data.pt")
    except pickle.UnpicklingError as error:
        raise SparftError(
            f"{folder / 'data.pt'} holds more than plain data ({str(error).splitlines()[0]}); "
            "resume without the sampler or dataset that put it there."
        ) from error
    if not state:
        raise SparftError(
            f"the checkpoint {folder} holds no sparft state; it was written without a sparft name, "
            "so start a new run or resume without one."
        )
    run.load_state_dict(state)


def _dataset_state(file: Path, mmap: bool = False) -> dict[str, Any]:
    """The dataset's part of a file that verl itself loads as a pickle; we read plain data only."""
    if not file.exists():
        return {}
    return torch.load(file, weights_only=True, mmap=mmap).get(DATASET_STATE) or {}


def forget_pruned(checkpoints: Path, keep: int | None) -> None:
    """Delete ``data.pt`` of checkpoints whose actor verl has pruned.

    verl's ``trainer.max_actor_ckpt_to_keep`` deletes weights only, so a memory of gigabytes would
    stay with each step. What can be resumed from stays whole: the newest complete checkpoint and
    all after it, and every one whose actor is there. Where the newest one's actor is not, the
    workers save on other disks than this one, and nothing is deleted. ``checkpoints`` is
    ``trainer.default_local_dir``; ``keep`` is that option, where None keeps all.
    """
    tracker = checkpoints / NEWEST
    if not keep or not tracker.exists():
        return
    newest = int(tracker.read_text())
    if not (checkpoints / f"global_step_{newest}" / "actor").exists():
        return
    for file in checkpoints.glob("global_step_*/data.pt"):
        step = int(file.parent.name.removeprefix("global_step_"))
        if step < newest and not (file.parent / "actor").exists():
            file.unlink()
