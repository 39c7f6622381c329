"""A training run driven by hand: what every host must come to for the same answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from sparft_plugin.config.schema import SparftConfig
from sparft_plugin.curriculum import Pick
from sparft_plugin.training.encoding import embed_responses
from sparft_plugin.training.groups import FinishedGroup, in_pick_order
from sparft_plugin.training.pool import Pool
from sparft_plugin.training.run import TrainingRun


class Answer(NamedTuple):
    """One rollout; without an accuracy it was lost."""

    text: str
    tokens: int
    accuracy: float | None
    reward: float | None = None
    """None: the accuracy."""


@dataclass
class Record:
    """What a run came to, step by step."""

    picks: list[list[tuple[int | None, str]]] = field(default_factory=list)
    """Pick id, None without a curriculum, and prompt id."""
    terms: list[dict[str, list[float]]] = field(default_factory=list)
    """By prompt id, of groups that were paid."""
    metrics: list[dict[str, float]] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)

    def add(
        self,
        picks: Sequence[tuple[int | None, str]],
        terms: dict[str, list[float]],
        metrics: Mapping[str, float],
    ) -> None:
        self.picks.append(list(picks))
        self.terms.append(terms)
        self.metrics.append(untimed(metrics))

    def close(self, run: TrainingRun) -> Record:
        state = run.state_dict()
        memory = state["memory"] or {}
        told = {k: v if isinstance(v, str) else bytes(v.numpy()) for k, v in memory.items()}
        self.state = {**state, "memory": told}
        return self


def untimed(metrics: Mapping[str, float]) -> dict[str, float]:
    """Ours, without the milliseconds, which differ."""
    return {k: v for k, v in metrics.items() if k.startswith("sparft/") and "/ms/" not in k}


def drive(
    section: Mapping[str, Any],
    pool_of: Callable[[SparftConfig], Pool],
    choose: Callable[[TrainingRun, int], list[Pick]],
    answers: Callable[[str], Sequence[Answer]],
    steps: int,
    limit: int,
) -> Record:
    """Make picks, bring their answers back and record what comes of it.

    `choose` takes the run and the number of the step, `answers` the text of a prompt.
    """
    options, record = SparftConfig.from_mapping(section), Record()
    pool, choosing = pool_of(options), options.curriculum is not None
    run = TrainingRun(options, pool.prompts if choosing else None, pool.text_of, pool.saved)
    for step in range(steps):
        picks = choose(run, step)
        told = [answers(pool.text_of(pick.prompt.id)) for pick in picks]
        if choosing and run.remembering is not None:
            # One encoder, so one at a time.
            run.remembering.queries.wait(pick.prompt.id for pick in picks)
        groups = [
            _group(run, number, pick, given, step, limit, choosing)
            for number, (pick, given) in enumerate(zip(picks, told, strict=True))
        ]
        groups = in_pick_order(groups)
        result = run.finish(groups)
        record.add(
            [(pick.pick_id if choosing else None, pick.prompt.id) for pick in picks],
            {g.prompt_id: result.terms[g.uid].tolist() for g in groups if g.uid in result.terms},
            result.metrics,
        )
    return record.close(run)


def _group(
    run: TrainingRun,
    number: int,
    pick: Pick,
    answers: Sequence[Answer],
    step: int,
    limit: int,
    choosing: bool,
) -> FinishedGroup:
    known = [math.nan if answer.accuracy is None else answer.accuracy for answer in answers]
    tokens = np.array([answer.tokens for answer in answers])
    responses, blank = None, 0
    if run.remembering is not None:
        texts = [answer.text for answer in answers]
        embedded, empty = embed_responses(run.remembering.embedder, "response", texts)
        responses, blank = embedded.astype(np.float32), sum(empty)
    rewards = [k if a.reward is None else a.reward for k, a in zip(known, answers, strict=True)]
    return FinishedGroup(
        uid=str(number),
        tag={
            "id": pick.prompt.id,
            "arm": pick.prompt.arm,
            "difficulty": pick.prompt.difficulty,
            "pick": pick.pick_id if choosing else None,
        },
        outputs=(),
        rewards=np.array(rewards),
        accuracies=np.array(known),
        responses=responses,
        model_version=step,
        tokens=tokens,
        at_limit=tokens >= limit,
        blank=blank,
        complete=not np.isnan(known).any(),
    )


def assert_alike(found: Record, by_hand: Record) -> None:
    """Everything is equal; terms in the single precision of trainers' rewards."""
    assert found.picks == by_hand.picks
    for terms, others in zip(found.terms, by_hand.terms, strict=True):
        assert terms.keys() == others.keys()
        for key, values in terms.items():
            assert np.allclose(values, others[key], rtol=1e-6, atol=1e-6)
    assert found.metrics == by_hand.metrics
    assert found.state == by_hand.state
