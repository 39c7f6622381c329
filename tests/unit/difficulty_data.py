"""Models and a verifier small enough to reason about."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparft_plugin.difficulty.angles import Angle, measure_angles
from sparft_plugin.difficulty.log import AngleLog, AttemptLog
from sparft_plugin.difficulty.measure import Tokens
from sparft_plugin.difficulty.solve import Response, Sampling, measure
from sparft_plugin.difficulty.verifier import Verifier


def settings(**changes: Any) -> dict[str, Any]:
    return {"model": "coin@1", **vars(Sampling(attempts=3)), "verifier": "equal@1", **changes}


def equal(data_source, solution_str, ground_truth, extra_info):
    """Solved if the response is the ground truth."""
    return {"score": 2.0 * (solution_str == ground_truth), "acc": solution_str == ground_truth}


EQUAL = Verifier("equal@1", equal)


@dataclass
class Bytes:
    """Reads a prompt byte by byte; dies on request."""

    longest: float = 1000
    die_after: int | None = None
    """Batches until Ctrl-C."""
    batches: list[list[int]] = field(default_factory=list)
    """Lengths of the prompts of every batch."""
    closed: bool = False

    def tokenize(self, messages, place):
        return Tokens(list(messages[-1]["content"].encode()))

    def read(self, batch):
        if len(self.batches) == self.die_after:
            raise KeyboardInterrupt
        self.batches.append([len(tokens.ids) for tokens in batch])

    def close(self):
        self.closed = True


@dataclass
class CoinModel(Bytes):
    """Answers ``a + b?`` rightly with even chance, by the prompt's own seed."""

    attempts: int = 3

    def generate(self, batch):
        self.read([tokens for _, tokens in batch])
        return [self._answer(task) for task, _ in batch]

    def _answer(self, task):
        rng = random.Random(Sampling().prompt_seed(task.id))
        parts = task.messages[-1]["content"].removesuffix("?").split(" + ")
        right = str(sum(map(int, parts)))
        texts = [right if rng.random() < 0.5 else "no" for _ in range(self.attempts)]
        return [Response(answer, len(answer), "stop") for answer in texts]


class LengthModel(Bytes):
    """The angle of a prompt is its length."""

    def angles(self, batch):
        self.read(batch)
        return [Angle(float(len(tokens.ids)), 0.5) for tokens in batch]


def attempt(prompts, corpus, path: Path, model, *, batch=4, verifier=EQUAL, **changes: Any):
    """One run of ``sparft difficulty``; returns its tallies."""
    with AttemptLog(path, settings(**changes)) as log:
        measure(prompts, corpus, log, verifier, lambda: model, batch=batch)
        return log.tallies(0.5)


def angles(prompts, corpus, path: Path, model, *, batch=4):
    """One run of ``sparft angles``; returns the angles."""
    with AngleLog(path, {"model": "m@1"}) as log:
        measure_angles(prompts, corpus, log, lambda: model, batch=batch)
        return log.angles()
