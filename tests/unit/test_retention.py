"""A memory goes with the weights it was saved beside, and never before them."""

from __future__ import annotations

import pytest

from sparft_plugin.hosts.verl.checkpoint import forget_pruned
from tests.unit.test_config import compose_recipe


def saved(folder, *steps, pruned=(), newest=None):
    for step in steps:
        checkpoint = folder / f"global_step_{step}"
        (checkpoint if step in pruned else checkpoint / "actor").mkdir(parents=True)
        (checkpoint / "data.pt").write_bytes(b"memory")
    if newest is not None:
        (folder / "latest_checkpointed_iteration.txt").write_text(str(newest))


def kept(folder):
    return sorted(int(p.parent.name.split("_")[-1]) for p in folder.glob("*/data.pt"))


def test_the_memory_of_pruned_weights_goes_and_every_other_stays(tmp_path):
    saved(tmp_path, 5, 10, 15, 20, pruned=(5, 10), newest=20)
    forget_pruned(tmp_path, keep=2)
    assert kept(tmp_path) == [15, 20]
    assert (tmp_path / "global_step_5").exists()


def test_a_checkpoint_that_is_being_written_keeps_its_memory(tmp_path):
    saved(tmp_path, 5, 10, pruned=(10,), newest=5)
    forget_pruned(tmp_path, keep=1)
    assert kept(tmp_path) == [5, 10]


@pytest.mark.parametrize(("keep", "newest"), [(None, 10), (1, None)])
def test_nothing_goes_where_verl_prunes_nothing_or_has_saved_nothing(tmp_path, keep, newest):
    saved(tmp_path, 5, 10, pruned=(5,), newest=newest)
    forget_pruned(tmp_path, keep)
    assert kept(tmp_path) == [5, 10]


def test_nothing_goes_where_the_weights_lie_on_other_disks(tmp_path):
    saved(tmp_path, 5, 10, pruned=(5, 10), newest=10)
    forget_pruned(tmp_path, keep=1)
    assert kept(tmp_path) == [5, 10]


def test_the_dataset_is_told_where_the_recipe_saves_and_what_it_keeps():
    recipe = compose_recipe(
        "+sparft=memory_r", "trainer.default_local_dir=/mine", "trainer.max_actor_ckpt_to_keep=3"
    )
    assert recipe.data.sparft_checkpoints == {"folder": "/mine", "keep": 3}
