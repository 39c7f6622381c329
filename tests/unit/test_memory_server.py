"""The memory that runs share, without Ray: whose state it takes, and what it does twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest

from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl import memory_server
from sparft_plugin.hosts.verl.memory_locks import hold
from sparft_plugin.hosts.verl.memory_replies import KEPT_RUNS, Replies, Reply
from sparft_plugin.hosts.verl.memory_server import MemoryServer, spec_of
from sparft_plugin.memory.base import IntrinsicReward, MemoryGroup
from sparft_plugin.memory.journal import group_arrays, groups_of
from sparft_plugin.memory.memory_r import MemoryR
from sparft_plugin.memory.memory_r_plus import MemoryRPlus


def memory(**options: Any) -> MemoryRPlus:
    return MemoryRPlus("tiny@1", **{"warmup_steps": 0, **options})


def step_of(seed: int) -> list[MemoryGroup]:
    """Two groups of three rollouts."""
    rng = np.random.default_rng(seed)
    return [
        MemoryGroup(
            f"p{rng.integers(4)}{i}",
            rng.standard_normal(5).astype(np.float32),
            rng.standard_normal((3, 5)).astype(np.float32),
            rng.integers(0, 2, 3).astype(np.float64),
        )
        for i in range(2)
    ]


def after(*seeds: int, **options: Any) -> bytes:
    """State of a memory that was told of these steps and no other."""
    told = memory(**options)
    for seed in seeds:
        told.write(step_of(seed))
    return told.dumps()


class Runs:
    """Runs that live until they are killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.locks: dict[str, IO[bytes]] = {}

    def start(self, name: str) -> str:
        lock = hold(self.folder / memory_server.RUNS / name)
        assert lock is not None
        self.locks[name] = lock
        return name

    def kill(self, name: str) -> None:
        self.locks.pop(name).close()


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    made = Runs(tmp_path)
    yield made
    for name in list(made.locks):
        made.kill(name)


def spec(**options: Any) -> dict[str, Any]:
    return spec_of(memory(**options))


def crash(server: MemoryServer) -> MemoryServer:
    """What takes over after the server's process is killed: the kernel has dropped its lock."""
    assert server._lock is not None
    server._lock.close()
    return MemoryServer(str(server.folder))


@pytest.fixture
def server(tmp_path: Path, runs: Runs) -> MemoryServer:
    """A server that one run, "a", has joined."""
    made = MemoryServer(str(tmp_path))
    made.join(runs.start("a"), spec())
    return made


def advance(server: MemoryServer, run: str, number: int, seed: int) -> dict[str, Any]:
    return server.advance(run, number, group_arrays(step_of(seed)), scored=2)


# A step


def test_a_step_is_scored_as_the_memory_stood_and_then_written(server: MemoryServer) -> None:
    alone = memory()
    for number in (1, 2, 3):
        expected = alone.score(step_of(number))
        alone.write(step_of(number))
        answer = advance(server, "a", number, number)
        assert answer["step"] == number
        assert answer["metrics"] == alone.metrics()
        for row, name in zip(answer["terms"], ("exploit", "explore", "total"), strict=True):
            np.testing.assert_array_equal(
                row, np.concatenate([getattr(terms, name) for terms in expected])
            )
    assert server.dumps() == alone.dumps()


def test_groups_that_are_not_scored_are_written_too(server: MemoryServer) -> None:
    answer = server.advance("a", 1, group_arrays(step_of(1)), scored=1)
    assert answer["terms"].shape == (3, 3)
    assert server.dumps() == after(1)


def test_groups_travel_as_arrays_without_python_objects() -> None:
    packed = group_arrays(step_of(1))
    assert {value.dtype.kind for value in packed.values()} == {"U", "i", "f"}
    for back, group in zip(groups_of(packed), step_of(1), strict=True):
        assert back.prompt_id == group.prompt_id
        for name in ("query", "responses", "accuracies"):
            np.testing.assert_array_equal(getattr(back, name), getattr(group, name))


def test_a_repeated_step_is_answered_again_and_not_written_again(server: MemoryServer) -> None:
    advance(server, "a", 1, 1)
    first = advance(server, "a", 2, 2)
    again = advance(server, "a", 2, 2)
    np.testing.assert_array_equal(again["terms"], first["terms"])
    assert again["step"] == first["step"] == 2
    assert server.dumps() == after(1, 2)


# A crash of the server


def test_after_a_crash_no_step_is_lost(server: MemoryServer) -> None:
    for number in (1, 2, 3):
        advance(server, "a", number, number)
    successor = crash(server)
    told = successor.rejoin("a", spec())
    assert told["step"] == 3
    assert told["life"] != server.life
    assert successor.dumps() == after(1, 2, 3)


def test_a_step_whose_answer_was_lost_is_answered_as_before(server: MemoryServer) -> None:
    advance(server, "a", 1, 1)
    lost = advance(server, "a", 2, 2)
    successor = crash(server)
    successor.rejoin("a", spec())
    again = advance(successor, "a", 2, 2)
    np.testing.assert_array_equal(again["terms"], lost["terms"])
    assert successor.dumps() == after(1, 2)


def test_a_step_that_was_scored_but_not_written_is_done_anew(
    server: MemoryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    advance(server, "a", 1, 1)

    def killed(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(server.store, "append", killed)
    with pytest.raises(KeyboardInterrupt):
        advance(server, "a", 2, 2)
    successor = crash(server)
    assert successor.rejoin("a", spec())["step"] == 1
    assert advance(successor, "a", 2, 2)["step"] == 2
    assert successor.dumps() == after(1, 2)


def test_two_servers_never_keep_one_folder(
    server: MemoryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_server, "LOCK_PATIENCE_S", 0.0)
    second = MemoryServer(str(server.folder))
    with pytest.raises(SparftError, match="another process keeps its memory in"):
        second.rejoin("a", spec())


# Whose memory it is


def test_a_run_that_is_alone_starts_empty_whatever_the_folder_holds(
    server: MemoryServer, runs: Runs
) -> None:
    advance(server, "a", 1, 1)
    runs.kill("a")
    successor = crash(server)
    assert successor.join(runs.start("b"), spec())["step"] == 0
    assert successor.dumps() == after()
    # Nor does it come back later.
    assert crash(successor).rejoin("b", spec())["step"] == 0


def test_a_run_that_is_alone_rolls_back_to_its_checkpoint(server: MemoryServer) -> None:
    for number in (1, 2, 3):
        advance(server, "a", number, number)
    answer = server.resume("a", after(7))
    assert (answer["others"], answer["step"]) == (0, 1)
    assert server.dumps() == after(7)
    assert crash(server).rejoin("a", spec())["step"] == 1


def test_two_runs_write_in_the_order_of_their_calls(server: MemoryServer, runs: Runs) -> None:
    advance(server, "a", 1, 1)
    joined = server.join(runs.start("b"), spec())
    assert (joined["others"], joined["step"]) == (1, 1)
    # Both number their own steps from one.
    advance(server, "b", 1, 11)
    advance(server, "a", 2, 2)
    advance(server, "b", 2, 12)
    assert server.dumps() == after(1, 11, 2, 12)


def test_a_run_that_resumes_beside_a_living_one_takes_the_memory_as_it_is(
    server: MemoryServer, runs: Runs
) -> None:
    server.join(runs.start("b"), spec())
    advance(server, "a", 1, 1)
    advance(server, "b", 1, 11)
    runs.kill("a")
    server.join(runs.start("a2"), spec())
    answer = server.resume("a2", after(1))
    assert (answer["others"], answer["step"]) == (1, 2)
    assert server.dumps() == after(1, 11)


def test_when_the_others_have_ended_a_run_brings_its_own_again(
    server: MemoryServer, runs: Runs
) -> None:
    advance(server, "a", 1, 1)
    runs.kill("a")
    assert server.join(runs.start("b"), spec())["step"] == 0
    assert not (server.folder / memory_server.RUNS / "a").exists()


def test_a_run_that_starts_while_the_server_is_down_spares_the_memory_of_the_living(
    server: MemoryServer, runs: Runs
) -> None:
    advance(server, "a", 1, 1)
    successor = crash(server)
    assert successor.join(runs.start("b"), spec())["step"] == 1
    assert successor.dumps() == after(1)


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (MemoryRPlus("tiny@2", warmup_steps=0), r"sparft\.memory\.encoder='tiny@1', .*'tiny@2'"),
        (memory(window=7), r"sparft\.memory\.window=100, this run has 7"),
        (MemoryR("tiny@1"), r"sparft\.memory\.explore_weight=1.0, this run has None"),
    ],
)
def test_a_second_run_with_another_memory_is_refused_by_name(
    server: MemoryServer, runs: Runs, other: IntrinsicReward, named: str
) -> None:
    advance(server, "a", 1, 1)
    with pytest.raises(SparftError, match=named):
        server.join(runs.start("b"), spec_of(other))
    assert server.dumps() == after(1)


def test_a_state_of_another_memory_is_refused_and_nothing_changes(server: MemoryServer) -> None:
    advance(server, "a", 1, 1)
    with pytest.raises(SparftError, match="window=7, this run has 100"):
        server.resume("a", after(window=7))
    assert server.dumps() == after(1)


# Replies


def test_the_replies_of_the_runs_that_wrote_last_are_kept(tmp_path: Path) -> None:
    replies = Replies(tmp_path / "replies.npz")
    for run in range(KEPT_RUNS + 2):
        replies.put(f"r{run}", Reply(1, run + 1, np.full((3, 2), run)))
    replies.put("r2", Reply(2, KEPT_RUNS + 3, np.zeros((3, 1))))
    read = Replies(tmp_path / "replies.npz")
    read.load(step=100)
    assert [read.find(f"r{run}", 1) is not None for run in range(4)] == [False, False, False, True]
    found = read.find("r2", 2)
    assert found is not None
    assert (found.step, found.terms.shape) == (KEPT_RUNS + 3, (3, 1))


def test_a_reply_to_a_step_beyond_the_memory_does_not_count(tmp_path: Path) -> None:
    replies = Replies(tmp_path / "replies.npz")
    replies.put("a", Reply(4, 9, np.zeros((3, 1))))
    for step, known in ((8, False), (9, True)):
        replies.load(step)
        assert (replies.find("a", 4) is not None) is known
