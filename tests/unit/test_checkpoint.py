"""Our part of verl's checkpoints: what is read of them, and which are given up."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
import torch
from omegaconf import OmegaConf
from torch.utils.data import Dataset
from torchdata.stateful_dataloader import StatefulDataLoader

from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl.checkpoint import (
    checkpoint_folder,
    forget_pruned,
    restore,
    saved_pool,
)
from tests.unit.recipes import recipe

STEPS = [5, 10, 15, 20]
STATE = {"version": 1, "curriculum": '{"seed": 0}', "memory": b"\x00\xff", "pool": '{"ids": []}'}


class Counting(Dataset):
    """A dataset with a state like ours: text and bytes."""

    def __init__(self, state):
        self.state = state

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return index

    def state_dict(self):
        return self.state

    def load_state_dict(self, state):
        raise AssertionError("not read here")


def trainer(folder, mode="auto", path=None):
    return OmegaConf.create(
        {"resume_mode": mode, "resume_from_path": path, "default_local_dir": str(folder)}
    )


def save(folder, step, dataset=None):
    """Save a loader's state as verl does, after the last batch of an epoch."""
    loader = StatefulDataLoader(dataset or Counting(STATE), batch_size=2, drop_last=True)
    for _ in loader:
        state = loader.state_dict()
    checkpoint = folder / f"global_step_{step}"
    checkpoint.mkdir(parents=True)
    torch.save(state, checkpoint / "data.pt")
    (folder / "latest_checkpointed_iteration.txt").write_text(str(step))
    return checkpoint / "data.pt"


def test_the_state_in_torchdatas_file_is_restored_and_a_new_run_restores_nothing(tmp_path):
    run = Mock()
    restore(trainer(tmp_path), run)
    save(tmp_path, 3)
    restore(trainer(tmp_path, mode="disable"), run)
    assert run.mock_calls == []
    restore(trainer(tmp_path), run)
    run.load_state_dict.assert_called_once_with(STATE)


def test_the_newest_checkpoint_is_taken_and_a_named_one_instead_of_it(tmp_path, monkeypatch):
    save(tmp_path, 3)
    save(tmp_path, 6)
    assert checkpoint_folder(trainer(tmp_path)) == tmp_path / "global_step_6"
    named = trainer(tmp_path, "resume_path", str(tmp_path / "global_step_3"))
    assert checkpoint_folder(named) == tmp_path / "global_step_3"
    # As in verl a relative folder counts from the working folder.
    monkeypatch.chdir(tmp_path.parent)
    assert checkpoint_folder(trainer(tmp_path.name)) == tmp_path / "global_step_6"


def test_a_checkpoint_without_our_state_is_refused(tmp_path):
    file = save(tmp_path, 3, [0, 1, 2, 3])
    with pytest.raises(SparftError, match="global_step_3 holds no sparft state"):
        restore(trainer(tmp_path), Mock())
    file.unlink()
    with pytest.raises(SparftError, match="holds no sparft state"):
        restore(trainer(tmp_path), Mock())


def test_more_than_plain_data_is_refused_by_its_file_and_told_where_it_can_be_left_to_verl(
    tmp_path, caplog
):
    torch.save({"dataset_state": STATE, "sampler": Counting(STATE)}, save(tmp_path, 3))
    with pytest.raises(SparftError, match=r"data\.pt holds more than plain data"):
        restore(trainer(tmp_path), Mock())
    assert saved_pool(OmegaConf.create({"trainer": trainer(tmp_path)})) is None
    assert "holds more than plain data" in caplog.text


def test_the_reduced_prompts_are_read_before_verl_loads_the_rest(tmp_path):
    config = OmegaConf.create({"trainer": trainer(tmp_path)})
    assert saved_pool(config) is None
    save(tmp_path, 3)
    assert saved_pool(config) == STATE["pool"]
    older = {key: value for key, value in STATE.items() if key != "pool"}
    save(tmp_path, 6, Counting(older))
    assert saved_pool(config) is None
    assert saved_pool(OmegaConf.create({"data": {}})) is None


@pytest.mark.parametrize(
    ("pruned", "newest", "keep", "kept"),
    [
        pytest.param((5, 10), 20, 2, [15, 20], id="pruned"),
        pytest.param((20,), 15, 1, STEPS, id="one is being written"),
        pytest.param((5,), 20, None, STEPS, id="verl prunes nothing"),
        pytest.param((5,), None, 1, STEPS, id="nothing was saved"),
        pytest.param(STEPS, 20, 1, STEPS, id="weights on other disks"),
    ],
)
def test_the_memory_of_pruned_weights_goes_and_every_other_stays(
    tmp_path, pruned, newest, keep, kept
):
    for step in STEPS:
        checkpoint = tmp_path / f"global_step_{step}"
        (checkpoint if step in pruned else checkpoint / "actor").mkdir(parents=True)
        (checkpoint / "data.pt").write_bytes(b"memory")
    if newest is not None:
        (tmp_path / "latest_checkpointed_iteration.txt").write_text(str(newest))
    forget_pruned(tmp_path, keep)
    steps = [int(file.parent.name.split("_")[-1]) for file in tmp_path.glob("*/data.pt")]
    assert sorted(steps) == kept
    assert (tmp_path / "global_step_5").exists()


def test_the_dataset_is_told_where_the_recipe_saves_and_what_it_keeps():
    settings = {"trainer.default_local_dir": "/mine", "trainer.max_actor_ckpt_to_keep": 3}
    assert recipe("memory_r", settings).data.sparft_checkpoints == {"folder": "/mine", "keep": 3}
