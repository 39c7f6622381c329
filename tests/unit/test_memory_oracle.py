"""Both methods against a second implementation in plain lists, written from the formulas alone."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparft_plugin.memory.base import MemoryGroup
from sparft_plugin.memory.memory_r import MemoryR
from sparft_plugin.memory.memory_r_plus import MemoryRPlus

Vector = tuple[int, ...]
Rollouts = list[tuple[Vector, float]]
Group = tuple[str, Vector, Rollouts]


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def signed_square_cosine(a, b) -> Fraction:
    """Orders as the cosine does, without rounding."""
    scale = dot(a, a) * dot(b, b)
    return Fraction(dot(a, b) * abs(dot(a, b)), scale) if scale else Fraction(0)


class Oracle:
    def __init__(self, plus, neighbors, query_capacity, response_capacity, window, warmup_steps):
        self.plus, self.k, self.n, self.l = plus, neighbors, query_capacity, response_capacity
        self.w, self.warmup = window, warmup_steps
        self.successes, self.failures = [], []  # lists of [prompt_id, query, responses]
        self.exploit_raw, self.explore_raw = [], []
        self.steps = 0

    def read(self, memory, query):
        nearest = sorted(memory, key=lambda entry: -signed_square_cosine(entry[1], query))
        return [response for entry in nearest[: self.k] for response in entry[2]]

    def put(self, memory, prompt_id, query, response):
        for entry in memory:
            if entry[0] == prompt_id:
                break
        else:
            entry = [prompt_id, query, []]
            memory.append(entry)
            if self.n is not None and len(memory) > self.n:
                memory.pop(0)
        entry[2].append(response)
        if len(entry[2]) > self.l:
            entry[2].pop(0)

    def raw_exploit(self, query, answer):
        known = self.read(self.successes, query)
        if not known:
            return None
        mean = [sum(column) / len(known) for column in zip(*known, strict=True)]
        return -math.sqrt(sum((x - m) ** 2 for x, m in zip(answer, mean, strict=True)))

    def raw_explore(self, query, answer):
        known = self.read(self.failures, query)
        if not known:
            return None
        squares = [signed_square_cosine(answer, b) for b in known]
        return 1 - max(math.copysign(math.sqrt(abs(s)), s) for s in squares)

    def normal(self, raw, history):
        last = history[-self.w :]
        if raw is None or not last or max(last) - min(last) <= 1e-6:
            return 0.0
        return min(1.0, max(0.0, (raw - min(last)) / (max(last) - min(last) + 1e-8)))

    def score(self, groups: list[Group]):
        answers = []
        for _, query, rollouts in groups:
            exploit, explore = [], []
            for answer, _ in rollouts:
                exploit.append(self.normal(self.raw_exploit(query, answer), self.exploit_raw))
                novelty = self.normal(self.raw_explore(query, answer), self.explore_raw)
                explore.append(novelty if self.plus and self.steps >= self.warmup else 0.0)
            answers.append((exploit, explore))
        return answers

    def write(self, groups: list[Group]):
        groups = sorted(groups, key=lambda group: group[0])
        exploit = [self.raw_exploit(q, a) for _, q, rollouts in groups for a, _ in rollouts]
        explore = [self.raw_explore(q, a) for _, q, rollouts in groups for a, _ in rollouts]
        self.exploit_raw += [raw for raw in exploit if raw is not None]
        self.explore_raw += [raw for raw in explore if raw is not None]
        for prompt_id, query, rollouts in groups:
            for answer, accuracy in rollouts:
                memory = self.successes if accuracy > 0.5 else self.failures
                self.put(memory, prompt_id, query, answer)
        self.steps += 1


def memory_groups(groups: list[Group]) -> list[MemoryGroup]:
    return [
        MemoryGroup(
            prompt_id,
            np.array(query, np.float32),
            np.array([answer for answer, _ in rollouts], np.float32),
            np.array([accuracy for _, accuracy in rollouts]),
        )
        for prompt_id, query, rollouts in groups
    ]


# Few and small whole numbers: equal, opposite, parallel and zero vectors come up all the time.
vectors = st.tuples(*[st.integers(-2, 2)] * 3)
rollouts = st.lists(
    st.tuples(vectors, st.sampled_from([0.0, 0.5, 0.75, 1.0])), min_size=1, max_size=5
)


@st.composite
def runs(draw):
    ids = ["a", "b", "c", "d", "e", "f"]
    queries = {prompt_id: draw(vectors) for prompt_id in ids}
    group = st.tuples(st.sampled_from(ids), rollouts)
    steps = draw(st.lists(st.lists(group, max_size=4), min_size=1, max_size=6))
    return [[(name, queries[name], answers) for name, answers in step] for step in steps]


@pytest.mark.parametrize("method", [MemoryR, MemoryRPlus])
@settings(max_examples=150, deadline=None)
@given(
    steps=runs(),
    neighbors=st.sampled_from([1, 2, 9]),
    query_capacity=st.sampled_from([None, 1, 2, 3]),
    response_capacity=st.sampled_from([1, 2, 3, 100]),
    window=st.sampled_from([1, 2, 5, 100]),
    warmup_steps=st.sampled_from([0, 1, 3]),
)
def test_terms_equal_the_formulas(
    method, steps, neighbors, query_capacity, response_capacity, window, warmup_steps
):
    options = {
        "neighbors": neighbors,
        "query_capacity": query_capacity,
        "response_capacity": response_capacity,
        "window": window,
    }
    plus = method is MemoryRPlus
    oracle = Oracle(plus, warmup_steps=warmup_steps, **options)
    if plus:
        options["warmup_steps"] = warmup_steps
    memory = method(encoder="oracle", **options)
    for groups in steps:
        for terms, (exploit, explore) in zip(
            memory.score(memory_groups(groups)), oracle.score(groups), strict=True
        ):
            np.testing.assert_allclose(terms.exploit, exploit, atol=1e-6)
            np.testing.assert_allclose(terms.explore, explore, atol=1e-6)
            np.testing.assert_allclose(terms.total, np.add(exploit, explore), atol=1e-6)
        memory.write(memory_groups(groups))
        oracle.write(groups)
        assert memory.metrics()["success"] == sum(len(entry[2]) for entry in oracle.successes)
        if plus:
            assert memory.metrics()["failure"] == sum(len(entry[2]) for entry in oracle.failures)


@settings(max_examples=50, deadline=None)
@given(steps=runs(), cut=st.integers(0, 5), query_capacity=st.sampled_from([None, 2]))
def test_a_saved_memory_goes_on_exactly_as_the_one_that_never_stopped(steps, cut, query_capacity):
    options = {"query_capacity": query_capacity, "response_capacity": 3, "warmup_steps": 1}
    straight = MemoryRPlus(encoder="oracle", **options)
    for groups in steps[:cut]:
        straight.write(memory_groups(groups))
    resumed = MemoryRPlus(encoder="oracle", **options)
    resumed.loads(straight.dumps())
    for groups in steps[cut:]:
        for ours, theirs in zip(
            resumed.score(memory_groups(groups)), straight.score(memory_groups(groups)), strict=True
        ):
            np.testing.assert_array_equal(ours.total, theirs.total)
        straight.write(memory_groups(groups))
        resumed.write(memory_groups(groups))
    assert resumed.dumps() == straight.dumps()
    assert resumed.metrics() == straight.metrics()
