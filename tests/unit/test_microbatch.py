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
        self.calls = []
        self.running = 0
        self.most_running = 0
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def __call__(self, texts):
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        self.calls.append(list(texts))
        self.entered.set()
        assert self.gate.wait(timeout=10)
        self.running -= 1
        if "bad" in texts:
            raise ValueError(f"cannot encode {texts}")
        return np.array([[float(text)] for text in texts], dtype=np.float32)


async def until_entered(encoder):
    assert await asyncio.to_thread(encoder.entered.wait, 10)


async def started(batcher, texts):
    """Tasks that have handed in their texts."""
    tasks = [asyncio.create_task(batcher.encode(text)) for text in texts]
    await asyncio.sleep(0)
    return tasks


def test_texts_of_one_moment_are_one_call_and_each_waiter_gets_its_own_vector():
    async def scenario():
        encoder = Encoder()
        batcher = MicroBatcher(encoder)
        results = await asyncio.gather(*[batcher.encode(str(i)) for i in range(20)])
        assert encoder.calls == [[str(i) for i in range(20)]]
        for i, vector in enumerate(results):
            assert vector.tolist() == [i]

    asyncio.run(scenario())


def test_what_comes_while_the_encoder_is_busy_waits_and_goes_together():
    async def scenario():
        encoder = Encoder()
        batcher = MicroBatcher(encoder)
        encoder.gate.clear()
        first = await started(batcher, ["1"])
        await until_entered(encoder)
        later = [task for text in ("2", "3", "4") for task in await started(batcher, [text])]
        encoder.gate.set()
        results = await asyncio.gather(*first, *later)
        assert encoder.calls == [["1"], ["2", "3", "4"]]
        assert [vector[0] for vector in results] == [1, 2, 3, 4]

    asyncio.run(scenario())


def test_calls_never_overlap_and_every_text_is_encoded_once():
    async def scenario():
        encoder = Encoder()
        batcher = MicroBatcher(encoder)

        async def rollout(i):
            await asyncio.sleep((i * 7 % 11) / 5000)
            vector = await batcher.encode(str(i))
            return vector[0]

        assert await asyncio.gather(*[rollout(i) for i in range(60)]) == list(range(60))
        assert encoder.most_running == 1
        assert sorted(text for call in encoder.calls for text in call) == sorted(
            map(str, range(60))
        )

    asyncio.run(scenario())


def test_an_error_reaches_every_waiter_of_its_batch_and_no_other():
    async def scenario():
        encoder = Encoder()
        batcher = MicroBatcher(encoder)
        encoder.gate.clear()
        first = await started(batcher, ["1"])
        await until_entered(encoder)
        doomed = await started(batcher, ["2", "bad", "3"])
        encoder.gate.set()
        assert (await first[0]).tolist() == [1]
        for task in doomed:
            with pytest.raises(ValueError, match="cannot encode"):
                await task
        vector = await batcher.encode("4")
        assert vector.tolist() == [4]

    asyncio.run(scenario())


def test_a_waiter_that_is_cancelled_does_not_take_the_others_vectors():
    async def scenario():
        encoder = Encoder()
        batcher = MicroBatcher(encoder)
        encoder.gate.clear()
        tasks = await started(batcher, ["1", "2", "3"])
        await until_entered(encoder)
        tasks[0].cancel()
        encoder.gate.set()
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]
        assert [vector[0] for vector in await asyncio.gather(*tasks[1:])] == [2, 3]

    asyncio.run(scenario())


def test_a_text_is_encoded_once_however_often_it_comes():
    async def scenario():
        encoder = Encoder()
        batcher = MicroBatcher(encoder)
        together = await asyncio.gather(*[batcher.encode(t) for t in ["5", "6", "5", "5"]])
        later = await batcher.encode("5")
        assert encoder.calls == [["5", "6"]]
        assert [vector[0] for vector in [*together, later]] == [5, 6, 5, 5, 5]

    asyncio.run(scenario())


def test_a_text_that_is_being_encoded_is_waited_for():
    async def scenario():
        encoder = Encoder()
        batcher = MicroBatcher(encoder)
        encoder.gate.clear()
        first = await started(batcher, ["1"])
        await until_entered(encoder)
        again = await started(batcher, ["1"])
        encoder.gate.set()
        results = await asyncio.gather(*first, *again)
        assert encoder.calls == [["1"]]
        assert [vector[0] for vector in results] == [1, 1]

    asyncio.run(scenario())


async def one_after_another(batcher, texts):
    return [(await batcher.encode(text))[0] for text in texts]


def test_what_was_asked_for_longest_ago_is_given_up_first():
    async def scenario():
        encoder = Encoder()
        one_entry = sys.getsizeof("1") + 4 + 300
        batcher = MicroBatcher(encoder, cache_bytes=2 * one_entry)
        assert await one_after_another(batcher, ["1", "2", "1", "3", "1", "2"]) == [
            1,
            2,
            1,
            3,
            1,
            2,
        ]
        assert encoder.calls == [["1"], ["2"], ["3"], ["2"]]

    asyncio.run(scenario())


def test_a_text_larger_than_all_that_may_be_kept_is_encoded_each_time():
    async def scenario():
        encoder = Encoder()
        batcher = MicroBatcher(encoder, cache_bytes=0)
        assert await one_after_another(batcher, ["1", "1"]) == [1, 1]
        assert encoder.calls == [["1"], ["1"]]

    asyncio.run(scenario())


@given(st.lists(st.integers(0, 12)), st.integers(0, 5000))
def test_kept_texts_never_take_more_than_allowed(numbers, allowed):
    async def scenario():
        encoder = Encoder()
        batcher = MicroBatcher(encoder, cache_bytes=allowed)
        expected, kept = [], []
        for text in map(str, numbers):
            if text in kept:
                kept.remove(text)
            else:
                expected.append([text])
            kept.append(text)
            while sum(sys.getsizeof(each) + 304 for each in kept) > allowed:
                kept.pop(0)
        assert await one_after_another(batcher, map(str, numbers)) == numbers
        assert encoder.calls == expected

    asyncio.run(scenario())


def test_a_kept_vector_does_not_keep_its_batch_alive():
    async def scenario():
        rows = np.zeros((2, 3), np.float32)
        batcher = MicroBatcher(lambda texts: rows)
        await asyncio.gather(batcher.encode("a"), batcher.encode("b"))
        vector = await batcher.encode("a")
        assert vector.base is None

    asyncio.run(scenario())


def test_a_text_whose_call_failed_is_tried_again():
    async def scenario():
        failing = iter([True, False])

        def encode(texts):
            if next(failing):
                raise RuntimeError("out of memory")
            return np.ones((len(texts), 1), np.float32)

        batcher = MicroBatcher(encode)
        waiting = await asyncio.gather(
            *[batcher.encode(text) for text in ("1", "1", "2")], return_exceptions=True
        )
        assert [str(error) for error in waiting] == ["out of memory"] * 3
        assert (await batcher.encode("1")).tolist() == [1]

    asyncio.run(scenario())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no priority")
def test_encoding_gives_way_to_generation_and_nothing_else_does():
    def encode(texts):
        with ThreadPoolExecutor(1) as pool:
            own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
            inner = pool.submit(
                lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
            ).result()
        return np.array([[own, inner]] * len(texts), np.float32)

    ours = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    found = asyncio.run(MicroBatcher(encode).encode("1"))
    assert found.tolist() == [ours + 10, ours + 10]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == ours
