"""Curriculum and memory from the checkpoint that verl is about to resume from."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import torch
from omegaconf import DictConfig

from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl.checkpoint import DATASET_STATE, checkpoint_folder

if TYPE_CHECKING:
    from sparft_plugin.training.run import TrainingRun


def restore(trainer: DictConfig, run: TrainingRun) -> None:
    """Restore a run's state where verl resumes.

    verl 0.8 and the legacy trainer of 0.9 restore ``data.pt`` unless the checkpoint ends an epoch:
    then the dataset would silently start anew. In all other cases verl restores the same state
    again, which changes nothing.

    Parameters
    ----------
    trainer : DictConfig
        The ``trainer`` section of the config.
    run : TrainingRun
        The run of this process.

    Raises
    ------
    SparftError
        If the checkpoint holds no state of ours, or one that the run cannot take.
    """
    folder = checkpoint_folder(trainer)
    if folder is None:
        return
    file = folder / "data.pt"
    # verl loads the same file as a pickle; we read plain data from it and nothing else.
    try:
        saved = torch.load(file, weights_only=True) if file.exists() else {}
    except pickle.UnpicklingError as error:
        raise SparftError(
            f"{file} holds more than plain data ({str(error).splitlines()[0]}); resume without the "
            "sampler or dataset that put it there."
        ) from error
    state = saved.get(DATASET_STATE)
    if not state:
        raise SparftError(
            f"the checkpoint {folder} holds no sparft state; it was written without a sparft name, "
            "so start a new run or resume without one."
        )
    run.load_state_dict(state)
