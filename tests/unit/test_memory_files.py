"""A memory in a folder: what a crash, a torn file or a missing one leaves of it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sparft_plugin.errors import SparftError
from sparft_plugin.memory import files
from sparft_plugin.memory.files import MemoryFolder, Restored
from sparft_plugin.memory.memory_r_plus import MemoryRPlus
from tests.unit.memory_writer import after, empty, groups_of

ROOT = Path(__file__).parents[2]


def write(folder: MemoryFolder, memory: MemoryRPlus, last: int) -> None:
    """Write steps up to number `last`, and append each."""
    while memory.step < last:
        groups = groups_of(memory.step + 1)
        memory.write(groups)
        folder.append(memory.step, groups)


@pytest.fixture
def folder(tmp_path) -> MemoryFolder:
    """A folder of a memory at step 6, of which four steps are in the journal."""
    made, memory = MemoryFolder(tmp_path / "memory"), empty()
    made.save(memory)
    write(made, memory, 2)
    made.save(memory)
    write(made, memory, 6)
    return made


def names(folder: MemoryFolder) -> list[str]:
    return sorted(path.name for path in folder.path.iterdir())


def loaded(folder: MemoryFolder) -> tuple[bytes, Restored]:
    """What a new process makes of the folder."""
    memory = empty()
    restored = MemoryFolder(folder.path).load(memory)
    assert restored.step == memory.step
    return memory.dumps(), restored


def test_the_folder_holds_one_snapshot_and_the_steps_since(folder):
    assert names(folder) == [
        "base-000000002.npz",
        *(f"step-000000002-{step:09d}.npz" for step in (3, 4, 5, 6)),
    ]


def test_all_steps_come_back(folder):
    assert loaded(folder) == (after(6), Restored(6, journal_steps=4, lost_steps=0))


def test_a_loaded_memory_goes_on_in_the_same_folder(folder):
    memory, again = empty(), MemoryFolder(folder.path)
    again.load(memory)
    write(again, memory, 9)
    assert loaded(folder) == (after(9), Restored(9, journal_steps=7, lost_steps=0))


def test_an_empty_folder_changes_nothing(tmp_path):
    memory = empty()
    memory.write(groups_of(1))
    assert MemoryFolder(tmp_path).load(memory) == Restored(1, 0, 0)
    assert memory.dumps() == after(1)


def damage(path: Path, way: str) -> None:
    data = path.read_bytes()
    if way == "missing":
        path.unlink()
    elif way == "torn":
        path.write_bytes(data[: len(data) // 2])
    elif way == "empty":
        path.write_bytes(b"")
    elif way == "flipped":
        place = data.index(b"responses.npy") + 200
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    else:
        path.write_bytes(path.with_name("step-000000002-000000003.npz").read_bytes())


@pytest.mark.parametrize("way", ["missing", "torn", "empty", "flipped", "another step's"])
def test_what_stands_before_a_bad_step_is_kept_and_the_rest_is_counted(folder, way):
    bad = folder.path / "step-000000002-000000004.npz"
    damage(bad, way)
    state, restored = loaded(folder)
    assert state == after(3)
    assert (restored.step, restored.journal_steps, restored.lost_steps) == (3, 1, 3)
    assert str(bad) in restored.reason


def test_steps_after_a_loss_do_not_meet_those_that_were_lost(folder):
    damage(folder.path / "step-000000002-000000004.npz", "missing")
    memory, again = empty(), MemoryFolder(folder.path)
    again.load(memory)
    write(again, memory, 4)
    assert loaded(folder) == (after(4), Restored(4, journal_steps=1, lost_steps=0))


def test_going_back_to_an_earlier_state_makes_the_later_steps_void(folder):
    earlier = empty()
    earlier.loads(after(1))
    folder.save(earlier)
    assert loaded(folder) == (after(1), Restored(1, 0, 0))


def test_a_death_right_after_the_new_snapshot_leaves_old_files_that_do_not_count(folder):
    old = {path.name: path.read_bytes() for path in folder.path.iterdir()}
    earlier = empty()
    earlier.loads(after(3))
    folder.save(earlier)
    for name, data in old.items():
        (folder.path / name).write_bytes(data)
    (folder.path / "step-000000003-000000004.tmp").write_bytes(b"torn")
    assert loaded(folder) == (after(3), Restored(3, 0, 0))
    earlier.write(groups_of(4))
    folder.append(4, groups_of(4))
    assert loaded(folder) == (after(4), Restored(4, 1, 0))


def test_a_journal_that_outgrows_the_snapshot_becomes_one(folder, monkeypatch):
    monkeypatch.setattr(files, "SMALL_JOURNAL", 1)
    size = (folder.path / "base-000000002.npz").stat().st_size
    memory = empty()
    again = MemoryFolder(folder.path)
    again.load(memory)
    most = 0
    for step in range(7, 30):
        write(again, memory, step)
        journal = sum(path.stat().st_size for path in folder.path.glob("step-*"))
        base = next(folder.path.glob("base-*")).stat().st_size
        assert journal <= base
        most = max(most, journal)
        assert loaded(folder)[0] == after(step)
    assert most > size / 2


def test_a_damaged_snapshot_is_refused_by_its_name_and_nothing_is_changed(folder):
    damage(folder.path / "base-000000002.npz", "torn")
    memory = empty()
    before = names(folder)
    with pytest.raises(SparftError, match=r"base-000000002\.npz: the memory state cannot be read"):
        MemoryFolder(folder.path).load(memory)
    assert (memory.dumps(), names(folder)) == (after(0), before)


def test_another_encoder_is_refused_by_name(folder):
    other = MemoryRPlus("other@2", query_capacity=5, response_capacity=4, warmup_steps=3)
    with pytest.raises(SparftError, match=r"encoder='tiny@1', this run has 'other@2'"):
        MemoryFolder(folder.path).load(other)


def test_a_step_that_is_not_the_memory_s_is_refused(folder, tmp_path):
    with pytest.raises(SparftError, match="step 8 cannot be appended.*stands at step 6"):
        folder.append(8, groups_of(8))
    with pytest.raises(SparftError, match="stands nowhere"):
        MemoryFolder(tmp_path / "new").append(1, groups_of(1))


def test_killed_at_any_moment_the_folder_holds_a_prefix_of_the_writes(tmp_path):
    """Every step whose append returned is kept, and at most one more."""
    chance = random.Random(0)
    command = [sys.executable, "-m", "tests.unit.memory_writer", str(tmp_path / "memory")]
    journals = set()
    for _ in range(6):
        with (tmp_path / "told").open("w+b") as told:
            writer = subprocess.Popen(command, cwd=ROOT, stdout=told)
            while not os.path.getsize(told.name):
                assert writer.poll() is None
                time.sleep(0.01)
            time.sleep(chance.uniform(0, 0.3))
            writer.send_signal(signal.SIGKILL)
            writer.wait()
            told.seek(0)
            last = int(told.read().decode().split()[-1])
        memory = empty()
        restored = MemoryFolder(tmp_path / "memory").load(memory)
        assert restored.lost_steps == 0
        assert restored.step in (last, last + 1)
        assert memory.dumps() == after(restored.step)
        journals.add(restored.journal_steps)
    assert len(journals) > 1
