"""Texts that come together are encoded together, and each waiter gets its own vector."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from sparft_plugin.hosts.verl.microbatch import MicroBatcher


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
        for i, (vector, _) in enumerate(results):
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
        assert [vector[0] for vector, _ in results] == [1, 2, 3, 4]

    asyncio.run(scenario())


def test_calls_never_overlap_and_every_text_is_encoded_once():
    async def scenario():
        encoder = Encoder()
        batcher = MicroBatcher(encoder)

        async def rollout(i):
            await asyncio.sleep((i * 7 % 11) / 5000)
            vector, _ = await batcher.encode(str(i))
            return vector[0]

        assert await asyncio.gather(*[rollout(i) for i in range(60)]) == list(range(60))
        assert encoder.most_running == 1
        assert sorted(text for call in encoder.calls for text in call) == sorted(
            map(str, range(60))
        )

    asyncio.run(scenario())


def test_the_same_text_twice_gets_the_same_vector():
    async def scenario():
        batcher = MicroBatcher(Encoder())
        one, other = await asyncio.gather(batcher.encode("5"), batcher.encode("5"))
        assert one[0].tolist() == other[0].tolist() == [5]

    asyncio.run(scenario())


def test_the_shares_of_a_batch_are_equal_and_add_up_to_its_time():
    async def scenario():
        encoder = Encoder()
        batcher = MicroBatcher(encoder)
        encoder.gate.clear()
        tasks = await started(batcher, ["1", "2", "3", "4"])
        await until_entered(encoder)
        await asyncio.sleep(0.05)
        encoder.gate.set()
        shares = [share for _, share in await asyncio.gather(*tasks)]
        assert len(set(shares)) == 1
        assert 0.05 <= sum(shares) < 5

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
        assert (await first[0])[0].tolist() == [1]
        for task in doomed:
            with pytest.raises(ValueError, match="cannot encode"):
                await task
        vector, _ = await batcher.encode("4")
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
        assert [vector[0] for vector, _ in await asyncio.gather(*tasks[1:])] == [2, 3]

    asyncio.run(scenario())
