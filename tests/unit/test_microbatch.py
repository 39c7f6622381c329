"""Texts that come together are encoded together, each once; every waiter gets its own vector."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.training.encoding import MicroBatcher


class Encoder:
    """Remembers its calls and waits while its gate is shut; a vector is its text's number."""

    def __init__(self):
        self.calls: list[list[str]] = []
        self.running = 0
        self.gate, self.entered = threading.Event(), threading.Event()
        self.gate.set()

    def __call__(self, texts):
        self.running += 1
        assert self.running == 1, "calls overlap"
        self.calls.append(list(texts))
        self.entered.set()
        assert self.gate.wait(timeout=10)
        self.running -= 1
        if "bad" in texts:
            raise ValueError(f"cannot encode {texts}")
        return np.array([[float(text)] for text in texts], dtype=np.float32)


def trial(scenario, **options):
    """Play a scenario in a loop of its own; return the calls that it led to."""

    async def play():
        await scenario(MicroBatcher(encoder, **options), encoder)

    encoder = Encoder()
    asyncio.run(play())
    return encoder.calls


async def busy_with(batcher, encoder, first, *later):
    """Tasks of a text that is being encoded, at a shut gate, and of texts that came meanwhile."""
    encoder.gate.clear()
    tasks = [asyncio.create_task(batcher.encode(first))]
    assert await asyncio.to_thread(encoder.entered.wait, 10)
    for text in later:
        tasks.append(asyncio.create_task(batcher.encode(text)))
        await asyncio.sleep(0)
    return tasks


async def numbers(waiting):
    return [float(vector[0]) for vector in await asyncio.gather(*waiting)]


def test_texts_of_one_moment_are_one_call_and_each_is_encoded_once_however_often_it_comes():
    async def scenario(batcher, encoder):
        assert await numbers(map(batcher.encode, ["5", "6", "5", "5"])) == [5, 6, 5, 5]
        assert await numbers([batcher.encode("5")]) == [5]

    assert trial(scenario) == [["5", "6"]]


def test_what_comes_while_the_encoder_is_busy_waits_and_goes_together():
    async def scenario(batcher, encoder):
        tasks = await busy_with(batcher, encoder, "1", "2", "3", "1")
        encoder.gate.set()
        assert await numbers(tasks) == [1, 2, 3, 1]

    # What is being encoded is waited for.
    assert trial(scenario) == [["1"], ["2", "3"]]


def test_calls_never_overlap_and_every_text_is_encoded_once():
    async def scenario(batcher, encoder):
        async def rollout(i):
            await asyncio.sleep((i * 7 % 11) / 5000)
            return await batcher.encode(str(i))

        assert await numbers(map(rollout, range(60))) == list(range(60))

    calls = trial(scenario)
    assert sorted(int(text) for call in calls for text in call) == list(range(60))


def test_an_error_reaches_every_waiter_of_its_batch_and_no_other():
    async def scenario(batcher, encoder):
        first, *doomed = await busy_with(batcher, encoder, "1", "2", "bad", "3", "2")
        encoder.gate.set()
        assert await numbers([first]) == [1]
        told = await asyncio.gather(*doomed, return_exceptions=True)
        assert [str(error) for error in told] == ["cannot encode ['2', 'bad', '3']"] * 4
        assert await numbers([batcher.encode("2")]) == [2]

    assert trial(scenario)[2:] == [["2"]]


def test_a_waiter_that_is_cancelled_does_not_take_the_others_vectors():
    async def scenario(batcher, encoder):
        tasks = await busy_with(batcher, encoder, "0", "1", "2", "3")
        tasks[1].cancel()
        encoder.gate.set()
        with pytest.raises(asyncio.CancelledError):
            await tasks[1]
        assert await numbers(tasks[2:]) == [2, 3]

    trial(scenario)


@given(st.lists(st.integers(0, 12)), st.integers(0, 5000))
def test_what_was_asked_for_longest_ago_is_given_up_first_and_no_more_is_kept_than_allowed(
    wanted, allowed
):
    expected: list[list[str]] = []
    kept: list[str] = []
    for text in map(str, wanted):
        if text in kept:
            kept.remove(text)
        else:
            expected.append([text])
        kept.append(text)
        while sum(sys.getsizeof(each) + 304 for each in kept) > allowed:
            kept.pop(0)

    async def scenario(batcher, encoder):
        for number in wanted:
            assert await numbers([batcher.encode(str(number))]) == [number]

    assert trial(scenario, cache_bytes=allowed) == expected


def test_a_kept_vector_does_not_keep_its_batch_alive():
    async def scenario():
        batcher = MicroBatcher(lambda texts: np.zeros((2, 3), np.float32))
        await asyncio.gather(batcher.encode("a"), batcher.encode("b"))
        assert (await batcher.encode("a")).base is None

    asyncio.run(scenario())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no priority")
def test_encoding_gives_way_to_generation_and_nothing_else_does():
    def priority():
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def encode(texts):
        with ThreadPoolExecutor(1) as pool:
            return np.array([[priority(), pool.submit(priority).result()]], np.float32)

    ours = priority()
    assert asyncio.run(MicroBatcher(encode).encode("1")).tolist() == [ours + 10, ours + 10]
    assert priority() == ours
