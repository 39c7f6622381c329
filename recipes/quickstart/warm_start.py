"""Train the quickstart's model by imitation of answers of mixed quality, and save it.

    python recipes/quickstart/warm_start.py

Two stages: first mostly right ways from every family and level alike, which teaches the skills;
then demonstrations in the shares of `ways.RIGHT_SHARE`, which sets how often each way is chosen.
The recipe ships the result; this script with its default seed made it.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import torch
from evaluate import evaluate
from model import build_model, build_tokenizer, encode
from tasks import CELLS, Task, rows, tasks
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerBase, Qwen2ForCausalLM
from ways import RIGHT_SHARE, demonstrate

HERE = Path(__file__).resolve().parent
CHUNK = 16


@dataclass(frozen=True)
class Settings:
    """Settings of the warm start.

    Parameters
    ----------
    seed : int
        Seed of tasks, demonstrations, initial weights and measurement.
    steps : int
        Optimiser steps.
    skill_steps : int
        Steps of the first stage.
    skill_right_share : float in [0, 1]
        Share of right ways in the first stage.
    batch_size : int
        Demonstrations per step.
    learning_rate : float
        Peak of a cosine schedule with a linear rise over 100 steps.
    tasks_per_cell : int
        Tasks generated per family and level.
    """

    seed: int = 0
    steps: int = 5000
    skill_steps: int = 4000
    skill_right_share: float = 0.8
    batch_size: int = 64
    learning_rate: float = 3e-3
    tasks_per_cell: int = 8000

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        rise = min(1.0, (step + 1) / 100)
        return self.learning_rate * rise * 0.5 * (1.02 + math.cos(math.pi * step / self.steps))


class Demonstrations:
    """Endless batches of (prompt, response), evenly over the cells."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.rng = Random(settings.seed)
        self.cells: list[tuple[float, list[Task]]] = [
            (
                RIGHT_SHARE[family][level - 1],
                list(islice(tasks("warm", family, level, settings.seed), settings.tasks_per_cell)),
            )
            for family, level in CELLS
        ]

    def batch(self, step: int) -> list[tuple[str, str]]:
        """Return the demonstrations of a step."""
        pairs = []
        for _ in range(self.settings.batch_size):
            share, members = self.rng.choice(self.cells)
            if step < self.settings.skill_steps:
                share = self.settings.skill_right_share
            task, other = self.rng.choice(members), self.rng.choice(members)
            pairs.append((task.prompt, demonstrate(task, other, share, self.rng)))
        return pairs


def train(
    model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerBase, settings: Settings
) -> list[float]:
    """Train in place and return the mean loss of every hundred steps, in nats per token."""
    data = Demonstrations(settings)
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    losses: list[float] = []
    recent: list[float] = []
    start = time.monotonic()
    model.train()
    for step in range(settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = settings.rate(step)
        optimizer.zero_grad(set_to_none=True)
        pairs = sorted(data.batch(step), key=lambda pair: len(pair[0]) + len(pair[1]))
        total = sum(len(response.encode()) + 1 for _, response in pairs)
        mean = 0.0
        # Chunks of like length: padding would cost half of the time.
        for at in range(0, len(pairs), CHUNK):
            ids, labels = encode(pairs[at : at + CHUNK], tokenizer)
            # Padding is on the right: a causal model never looks at it, so no mask is needed.
            logits = model(input_ids=ids).logits[:, :-1].flatten(0, 1)
            loss = cross_entropy(logits, labels[:, 1:].flatten(), reduction="sum") / total
            loss.backward()
            mean += loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        recent.append(mean)
        if len(recent) == 100 or step + 1 == settings.steps:
            losses.append(round(sum(recent) / len(recent), 4))
            recent.clear()
            took = time.monotonic() - start
            sys.stderr.write(f"step {step + 1}/{settings.steps} loss {losses[-1]} {took:.0f} s\n")
    return losses


def report(
    model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerBase, settings: Settings
) -> dict[str, Any]:
    """Return sampled and greedy pass rates by cell on fresh pool rows."""
    return evaluate(model, tokenizer, rows("pool", 40, settings.seed + 1), seed=settings.seed)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE / "model", help="model folder")
    for name, value in asdict(Settings()).items():
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=type(value), default=value, help=f"default {value}")
    args = vars(parser.parse_args(argv))
    out: Path = args.pop("out")
    settings = Settings(**args)

    torch.manual_seed(settings.seed)
    tokenizer = build_tokenizer()
    model = build_model(tokenizer)
    losses = train(model, tokenizer, settings)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    record = {
        "settings": asdict(settings),
        "parameters": model.num_parameters(),
        "right_share": RIGHT_SHARE,
        "loss_per_hundred_steps": losses,
        "pass_rate": report(model, tokenizer, settings),
    }
    (out / "warm_start.json").write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
