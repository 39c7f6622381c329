"""Which checkpoint the legacy trainer resumes from, and what of it is ours."""

from __future__ import annotations

import pytest
import torch
from omegaconf import OmegaConf
from torch.utils.data import Dataset
from torchdata.stateful_dataloader import StatefulDataLoader

from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl.checkpoint import checkpoint_folder, restore, saved_pool


class Counting(Dataset):
    """A dataset with a state like ours: text and bytes."""

    pool = '{"ids": []}'

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return index

    def state_dict(self):
        state = {"version": 1, "curriculum": '{"seed": 0}', "memory": b"\x00\xff"}
        return state | ({"pool": self.pool} if self.pool else {})

    def load_state_dict(self, state):
        raise AssertionError("not read here")


class Recorder:
    """A run that keeps what it is given."""

    def __init__(self):
        self.loaded = []

    def load_state_dict(self, state):
        self.loaded.append(state)


def trainer(folder, mode="auto", path=None):
    return OmegaConf.create(
        {"resume_mode": mode, "resume_from_path": path, "default_local_dir": str(folder)}
    )


def save(folder, step, dataset):
    """Save a loader's state as verl does, after the last batch of an epoch."""
    loader = StatefulDataLoader(dataset, batch_size=2, drop_last=True)
    for _ in loader:
        state = loader.state_dict()
    checkpoint = folder / f"global_step_{step}"
    checkpoint.mkdir(parents=True)
    torch.save(state, checkpoint / "data.pt")
    (folder / "latest_checkpointed_iteration.txt").write_text(str(step))


def test_the_state_in_torchdatas_file_is_restored(tmp_path):
    save(tmp_path, 3, Counting())
    run = Recorder()
    restore(trainer(tmp_path), run)
    assert run.loaded == [Counting().state_dict()]


def test_a_new_run_restores_nothing(tmp_path):
    run = Recorder()
    restore(trainer(tmp_path / "none"), run)
    restore(trainer(tmp_path, mode="disable"), run)
    assert run.loaded == []


def test_the_newest_checkpoint_is_taken_and_a_named_one_instead_of_it(tmp_path):
    save(tmp_path, 3, Counting())
    save(tmp_path, 6, Counting())
    assert checkpoint_folder(trainer(tmp_path)) == tmp_path / "global_step_6"
    named = trainer(tmp_path, "resume_path", str(tmp_path / "global_step_3"))
    assert checkpoint_folder(named) == tmp_path / "global_step_3"


def test_a_relative_folder_counts_from_the_working_folder_as_in_verl(tmp_path, monkeypatch):
    save(tmp_path / "checkpoints", 3, Counting())
    monkeypatch.chdir(tmp_path)
    assert checkpoint_folder(trainer("checkpoints")) == tmp_path / "checkpoints/global_step_3"


def test_a_checkpoint_without_our_state_is_refused(tmp_path):
    save(tmp_path, 3, [0, 1, 2, 3])
    with pytest.raises(SparftError, match="global_step_3 holds no sparft state"):
        restore(trainer(tmp_path), Recorder())


def test_a_checkpoint_without_a_data_file_is_refused(tmp_path):
    save(tmp_path, 3, Counting())
    (tmp_path / "global_step_3/data.pt").unlink()
    with pytest.raises(SparftError, match="holds no sparft state"):
        restore(trainer(tmp_path), Recorder())


class Odd:
    """An object that only a pickle can bring back."""


def test_a_checkpoint_with_more_than_plain_data_is_refused_by_its_file(tmp_path):
    save(tmp_path, 3, Counting())
    torch.save({"dataset_state": {"memory": Odd()}}, tmp_path / "global_step_3/data.pt")
    with pytest.raises(SparftError, match="data.pt holds more than plain data"):
        restore(trainer(tmp_path), Recorder())


def test_the_reduced_prompts_are_read_before_verl_loads_the_rest(tmp_path):
    recipe = OmegaConf.create({"trainer": trainer(tmp_path)})
    assert saved_pool(recipe) is None
    save(tmp_path, 3, Counting())
    assert saved_pool(recipe) == Counting.pool
    older = Counting()
    older.pool = None
    save(tmp_path, 6, older)
    assert saved_pool(recipe) is None
    assert saved_pool(OmegaConf.create({"data": {}})) is None


def test_a_state_with_objects_of_others_is_told_and_left_to_verl(tmp_path, caplog):
    save(tmp_path, 3, Counting())
    file = tmp_path / "global_step_3" / "data.pt"
    torch.save({"dataset_state": Counting().state_dict(), "sampler": Recorder()}, file)
    assert saved_pool(OmegaConf.create({"trainer": trainer(tmp_path)})) is None
    assert "holds more than plain data" in caplog.text
