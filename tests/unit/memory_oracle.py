"""Memory-R and Memory-R+ in plain lists, from the formulas and the released code's rules."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from sparft_plugin.memory.base import MemoryGroup

Vector = tuple[int, ...]
Rollouts = list[tuple[Vector, float]]
Group = tuple[str, Vector, Rollouts]

FLAT = 1e-6


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def signed_square_cosine(a, b) -> Fraction:
    """Orders as the cosine does, without rounding."""
    scale = dot(a, a) * dot(b, b)
    return Fraction(dot(a, b) * abs(dot(a, b)), scale) if scale else Fraction(0)


@dataclass
class Paper:
    """All of a step is scored, then recorded, then stored."""

    plus: bool
    neighbors: int = 1
    query_capacity: int | None = None
    response_capacity: int = 100
    window: int = 100
    normalize: str = "global"
    warmup_steps: int = 50
    warmup_failures: int | None = None
    weights: tuple[float, float] = (1.0, 1.0)
    steps: int = 0
    failures_written: int = 0
    successes: list = field(default_factory=list)  # of [prompt_id, query, responses]
    failures: list = field(default_factory=list)
    exploit_raw: list = field(default_factory=list)  # of [prompt_id, values]
    explore_raw: list = field(default_factory=list)

    def warming_up(self):
        if self.warmup_failures is not None:
            return self.failures_written < self.warmup_failures
        return self.steps < self.warmup_steps

    def read(self, memory, query):
        nearest = sorted(memory, key=lambda entry: -signed_square_cosine(entry[1], query))
        return [response for entry in nearest[: self.neighbors] for response in entry[2]]

    def put(self, memory, prompt_id, query, response):
        for entry in memory:
            if entry[0] == prompt_id:
                break
        else:
            entry = [prompt_id, query, []]
            memory.append(entry)
            if self.query_capacity is not None and len(memory) > self.query_capacity:
                memory.pop(0)
        entry[2].append(response)
        if len(entry[2]) > self.response_capacity:
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

    def values(self, windows, prompt_id):
        key = prompt_id if self.normalize == "per_query" else "all"
        return next((values for name, values in windows if name == key), [])

    def record(self, windows, prompt_id, raw):
        if raw is None:
            return
        key = prompt_id if self.normalize == "per_query" else "all"
        if all(name != key for name, _ in windows):
            windows.append([key, []])
            if self.query_capacity is not None and len(windows) > self.query_capacity:
                windows.pop(0)
        values = self.values(windows, prompt_id)
        values.append(raw)
        if len(values) > self.window:
            values.pop(0)

    def scaled_by(self, raw, values):
        if raw is None or not values or max(values) - min(values) <= FLAT:
            return 0.0
        return min(1.0, max(0.0, (raw - min(values)) / (max(values) - min(values) + 1e-8)))

    def total(self, exploit, explore):
        scale, other = self.weights
        return [scale * a + other * b for a, b in zip(exploit, explore, strict=True)]

    def score(self, groups: list[Group]):
        answers = []
        for name, query, rollouts in groups:
            exploit, explore = [], []
            for answer, _ in rollouts:
                near, new = self.raw_exploit(query, answer), self.raw_explore(query, answer)
                exploit.append(self.scaled_by(near, self.values(self.exploit_raw, name)))
                novelty = self.scaled_by(new, self.values(self.explore_raw, name))
                explore.append(novelty if self.plus and not self.warming_up() else 0.0)
            answers.append((exploit, explore))
        return answers

    def write(self, groups: list[Group]):
        groups = sorted(groups, key=lambda group: group[0])
        rollouts = [(name, q, a, acc) for name, q, answers in groups for a, acc in answers]
        raw = [(n, self.raw_exploit(q, a), self.raw_explore(q, a)) for n, q, a, _ in rollouts]
        for name, near, new in raw:
            self.record(self.exploit_raw, name, near)
            self.record(self.explore_raw, name, new)
        for name, query, answer, accuracy in rollouts:
            memory = self.successes if accuracy > 0.5 else self.failures
            self.put(memory, name, query, answer)
            self.failures_written += accuracy <= 0.5
        self.steps += 1


class Released(Paper):
    """A response is stored, then read, recorded and scaled, before the next one is looked at."""

    def score(self, groups: list[Group]):
        return copy.deepcopy(self)._pass(groups)

    def write(self, groups: list[Group]):
        self._pass(groups)
        self.steps += 1

    def _pass(self, groups):
        paid = self.plus and not self.warming_up()
        answers = {}
        for place in sorted(range(len(groups)), key=lambda place: groups[place][0]):
            name, query, rollouts = groups[place]
            exploit, explore = [], []
            for answer, accuracy in rollouts:
                memory = self.successes if accuracy > 0.5 else self.failures
                self.put(memory, name, query, answer)
                self.failures_written += accuracy <= 0.5
                near, new = self.raw_exploit(query, answer), self.raw_explore(query, answer)
                # Its distance s is our -near; it pays 1 - s.
                s = self.scaled(None if near is None else -near, self.exploit_raw, lambda d: d)
                exploit.append(1 - s)
                novelty = self.scaled(new, self.explore_raw, lambda _: 0.0)
                explore.append(novelty if paid else 0.0)
            answers[place] = (exploit, explore)
        return [answers[place] for place in range(len(groups))]

    def scaled(self, raw, windows, when_flat):
        if raw is None:
            return 1.0
        self.record(windows, "all", raw)
        values = self.values(windows, "all")
        if max(values) - min(values) <= FLAT:
            return when_flat(raw)
        return (raw - min(values)) / (max(values) - min(values))


def memory_groups(groups: list[Group]) -> list[MemoryGroup]:
    made = []
    for prompt_id, query, rollouts in groups:
        answers, accuracies = map(np.array, zip(*rollouts, strict=True))
        made.append(MemoryGroup(prompt_id, np.array(query), answers, accuracies))
    return made


# Few and small whole numbers: equal, opposite, parallel and zero vectors come up all the time.
vectors = st.tuples(*[st.integers(-2, 2)] * 3)
rollouts = st.lists(
    st.tuples(vectors, st.sampled_from([0.0, 0.5, 0.75, 1.0])), min_size=1, max_size=5
)


@st.composite
def runs(draw):
    """Up to 6 steps of up to 4 groups of 6 prompts."""
    ids = ["a", "b", "c", "d", "e", "f"]
    queries = {prompt_id: draw(vectors) for prompt_id in ids}
    group = st.tuples(st.sampled_from(ids), rollouts)
    steps = draw(st.lists(st.lists(group, max_size=4), min_size=1, max_size=6))
    return [[(name, queries[name], answers) for name, answers in step] for step in steps]


CHOICES = {
    "neighbors": [1, 2, 9],
    "query_capacity": [None, 1, 2, 3],
    "response_capacity": [1, 2, 3, 100],
    "window": [1, 2, 5, 100],
}
WARMUPS = {"warmup_steps": [0, 1, 3], "warmup_failures": [None, None, 0, 1, 7]}
options, warmups = (
    st.fixed_dictionaries({name: st.sampled_from(values) for name, values in choices.items()})
    for choices in (CHOICES, WARMUPS)
)
