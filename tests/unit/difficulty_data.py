"""A model and a verifier small enough to reason about."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparft_plugin.difficulty.attempts import AttemptLog
from sparft_plugin.difficulty.engine import Response, TooLong
from sparft_plugin.difficulty.sampling import Sampling
from sparft_plugin.difficulty.solve import measure
from sparft_plugin.difficulty.verifier import Verifier


def settings(**changes: Any) -> dict[str, Any]:
    return {"model": "coin@1", **vars(Sampling(attempts=3)), "verifier": "equal@1", **changes}


def equal(data_source, solution_str, ground_truth, extra_info):
    """Solved if the response is the ground truth."""
    return {"score": 2.0 * (solution_str == ground_truth), "acc": solution_str == ground_truth}


EQUAL = Verifier("equal@1", equal)


@dataclass
class CoinModel:
    """Answers ``a + b?`` rightly with even chance, by the request's own seed."""

    attempts: int = 3
    room: int = 1000
    """Longest prompt in characters."""
    die_after: int | None = None
    """Batches until the machine loses power."""
    asked: list[str] = field(default_factory=list)
    """Every prompt that was generated for."""
    batches: int = 0
    closed: bool = False

    def generate(self, requests):
        if self.batches == self.die_after:
            raise PowerCut
        self.batches += 1
        return [self._answer(request) for request in requests]

    def close(self):
        self.closed = True

    def _answer(self, request):
        text = request.messages[-1]["content"]
        if len(text) > self.room:
            return TooLong(len(text))
        self.asked.append(text)
        rng = random.Random(request.seed)
        right = str(sum(int(part) for part in text.removesuffix("?").split(" + ")))
        texts = [right if rng.random() < 0.5 else "no" for _ in range(self.attempts)]
        return [Response(answer, len(answer), "stop") for answer in texts]


class PowerCut(BaseException):
    pass


def attempt(prompts, corpus, path: Path, model, *, batch=4, verifier=EQUAL, **changes: Any):
    """One run of the measurement; returns its tallies."""
    with AttemptLog(path, settings(**changes)) as log:
        measure(prompts, corpus, log, verifier, lambda: model, batch=batch)
        return log.tallies(0.5)
