"""TRL's trainer, as far as sparft meets it, and a run of it."""

from __future__ import annotations

import math
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import torch

from sparft_plugin.curriculum import Pick
from sparft_plugin.hosts.trl.trainer import with_sparft
from tests.contract.by_hand import Record
from tests.contract.hosts.script import (
    LIMIT,
    PROMPTS,
    ROLLOUTS,
    STEPS,
    Script,
    drawn,
    rows,
    score,
    section,
    text_of,
)


class TrainerStandIn:
    """The part of GRPOTrainer that sparft meets, one process, a scripted model."""

    def __init__(self, model: Any, reward_funcs: Any, args: Any, train_dataset: Any) -> None:
        self.model, self.args, self.train_dataset = model, args, train_dataset
        self.reward_funcs = [reward_funcs]
        self.reward_func_names = [reward_funcs.__name__]
        self.reward_processing_classes = [None]
        self.reward_weights = torch.ones(1)
        self.num_generations, self.max_completion_length = ROLLOUTS, LIMIT
        self.state = SimpleNamespace(global_step=0, max_steps=STEPS)
        self.accelerator = SimpleNamespace(
            num_processes=1, process_index=0, is_main_process=True, device=torch.device("cpu")
        )
        self._metrics: dict[str, Any] = {"train": defaultdict(list), "eval": defaultdict(list)}
        self.script, self.seen = Script(), []

    def train(self, resume_from_checkpoint: Any = None) -> None:
        for step in range(STEPS):
            self.state.global_step = step
            found = [self.train_dataset[at] for at in drawn(step) for _ in range(ROLLOUTS)]
            self._generate_and_score_completions(found)

    def _generate_and_score_completions(self, inputs: list[Any]) -> dict[str, Any]:
        prompts = [row["prompt"] for row in inputs]
        groups = [self.script.answers(text_of(row)) for row in inputs[::ROLLOUTS]]
        completions = [
            [{"role": "assistant", "content": text}] for group in groups for text in group
        ]
        ids = [list(range(len(c[0]["content"].split()))) for c in completions]
        rewards = self._calculate_rewards(inputs, prompts, completions, ids)
        told = {name: value for name, (value,) in self._metrics["train"].items()}
        self._metrics["train"].clear()
        self.seen.append(([row["extra_info"]["sparft"]["id"] for row in inputs], rewards, told))
        return {}

    def _calculate_rewards(
        self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any
    ) -> torch.Tensor:
        columns = [
            function(prompts=prompts, completions=completions) for function in self.reward_funcs
        ]
        known = [[math.nan if value is None else value for value in column] for column in columns]
        return torch.tensor(known).T.contiguous()

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        raise NotImplementedError


def accuracy(completions: Any, **columns: Any) -> list[float | None]:
    return [score(completion[0]["content"]) for completion in completions]


def trl(name: str, *_: Any) -> Record:
    """Train with the stand-in, watching what was picked."""
    trainer = with_sparft(TrainerStandIn)(
        model=SimpleNamespace(training=True),
        reward_funcs=accuracy,
        args=SimpleNamespace(
            output_dir="unused",
            gradient_accumulation_steps=4,
            steps_per_generation=2,
            num_iterations=2,
        ),  # fmt: skip
        train_dataset=rows(),
        sparft=section(name),
    )
    picks: list[list[Pick]] = []
    choose = trainer._choose

    def watched(groups: int) -> Any:
        found = choose(groups)
        picks.append(trainer._picks)
        return found

    trainer._choose = watched
    trainer.train()
    record, run = Record(), trainer.sparft_run
    for step, (ids, rewards, metrics) in enumerate(trainer.seen):
        chosen = ids[::ROLLOUTS]
        numbers = [pick.pick_id for pick in picks[step]] if picks else [None] * PROMPTS
        paid = rewards[:, 1].reshape(-1, ROLLOUTS).tolist() if rewards.shape[1] > 1 else []
        terms = {i: t for i, t in zip(chosen, paid, strict=False) if not math.isnan(t[0])}
        record.add(list(zip(numbers, chosen, strict=True)), terms, metrics)
    return record.close(run)
