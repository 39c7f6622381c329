"""The memory actor on a real Ray: killed, outlived, and shared by two trainers."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray

from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl.memory_actor import SharedMemory
from sparft_plugin.memory.base import MemoryGroup, Terms
from sparft_plugin.memory.memory_r_plus import MemoryRPlus

STEPS = 12


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A Ray cluster of this module's own, which other processes can connect to."""
    context = ray.init(num_cpus=2, include_dashboard=False, namespace="a trainer's own")
    yield context.address_info["address"]
    ray.shutdown()


def memory(**options: Any) -> MemoryRPlus:
    return MemoryRPlus("tiny@1", **{"warmup_steps": 2, **options})


def step_of(seed: int, groups: int = 3) -> list[MemoryGroup]:
    rng = np.random.default_rng(seed)
    return [
        MemoryGroup(
            f"p{rng.integers(4)}{i}",
            rng.standard_normal(8).astype(np.float32),
            rng.standard_normal((4, 8)).astype(np.float32),
            rng.integers(0, 2, 4).astype(np.float64),
        )
        for i in range(groups)
    ]


def pid_of(shared: SharedMemory) -> int:
    pid: int = ray.get(shared._actor.__ray_call__.remote(lambda server: os.getpid()))
    return pid


def assert_equal(ours: Sequence[Terms], expected: Sequence[Terms]) -> None:
    for our, their in zip(ours, expected, strict=True):
        for name in ("exploit", "explore", "total"):
            np.testing.assert_array_equal(getattr(our, name), getattr(their, name))


def test_a_memory_in_an_actor_answers_like_one_in_the_driver(address: str, tmp_path: Path) -> None:
    shared, own = SharedMemory(memory(), tmp_path), memory()
    for seed in range(5):
        expected = own.score(step_of(seed)[:2])
        own.write(step_of(seed))
        assert_equal(shared.advance(step_of(seed), scored=2), expected)
    assert shared.metrics() == {**own.metrics(), "restarts": 0.0, "lost_steps": 0.0}
    assert shared.dumps() == own.dumps()


def test_a_killed_actor_comes_back_with_its_memory_and_the_run_goes_on(
    address: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shared, own = SharedMemory(memory(), tmp_path), memory()
    for seed in range(6):
        if seed in (2, 4):
            os.kill(pid_of(shared), signal.SIGKILL)
        expected = own.score(step_of(seed))
        own.write(step_of(seed))
        assert_equal(shared.advance(step_of(seed), scored=3), expected)
        if seed == 2:
            shared.dumps()
    assert shared.metrics()["restarts"] == 2
    assert shared.metrics()["lost_steps"] == 0
    assert shared.dumps() == own.dumps()
    said = [record.getMessage() for record in caplog.records if "had died" in record.getMessage()]
    assert [line.split("; ")[1] for line in said] == [
        "it is back with 2 steps, 0 are lost.",
        "it is back with 4 steps, 0 are lost.",
    ]


def test_steps_whose_journal_is_gone_are_counted_as_lost(
    address: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shared = SharedMemory(memory(), tmp_path)
    shared.advance(step_of(0), scored=3)
    snapshot = shared.dumps()
    for seed in (1, 2):
        shared.advance(step_of(seed), scored=3)
    os.kill(pid_of(shared), signal.SIGKILL)
    for path in (tmp_path / "memory").glob("step-*"):
        path.unlink()
    shared.advance(step_of(3), scored=3)
    assert (shared.restarts, shared.lost_steps) == (1, 2)
    assert "it is back with 1 steps, 2 are lost." in caplog.text
    own = memory()
    own.loads(snapshot)
    own.write(step_of(3))
    assert shared.dumps() == own.dumps()


def test_the_memory_refuses_in_words(address: str, tmp_path: Path) -> None:
    shared = SharedMemory(memory(), tmp_path)
    with pytest.raises(SparftError, match=r"^the memory state was saved with sparft\.memory\.win"):
        shared.loads(memory(window=7).dumps())
    with pytest.raises(SparftError, match=r"^the memory in .* is used with sparft\.memory\.window"):
        SharedMemory(memory(window=7), tmp_path)


def trainer(address: str, folder: Path, seeds: Sequence[int], told: Queue[Any]) -> None:
    """Another trainer's process: write steps, and tell which place each of them got."""
    ray.init(address=address, namespace="another trainer's")
    shared = SharedMemory(memory(), folder)
    told.put("joined")
    places = {}
    for seed in seeds:
        shared.advance(step_of(seed), scored=3)
        places[shared._step] = seed
    told.put(places)
    # As a killed process would: nothing is closed or said.
    told.close()
    told.join_thread()
    os.kill(os.getpid(), signal.SIGKILL)


def test_two_trainers_write_one_memory_step_by_step(address: str, tmp_path: Path) -> None:
    """The other one makes the actor, and it ends with its maker; then this one makes it anew."""
    spawn = multiprocessing.get_context("spawn")
    told: Queue[Any] = spawn.Queue()
    other = spawn.Process(target=trainer, args=(address, tmp_path, range(100, 100 + STEPS), told))
    other.start()
    assert told.get(timeout=120) == "joined"
    shared = SharedMemory(memory(), tmp_path)
    places = {}
    for seed in range(STEPS):
        shared.advance(step_of(seed), scored=3)
        places[shared._step] = seed
    places |= told.get(timeout=120)
    other.join(60)
    assert sorted(places) == list(range(1, 2 * STEPS + 1))
    shared.advance(step_of(STEPS), scored=3)
    places[shared._step] = STEPS
    own = memory()
    for step in sorted(places):
        own.write(step_of(places[step]))
    assert shared.dumps() == own.dumps()
    assert (shared.restarts, shared.lost_steps) == (1, 0)
