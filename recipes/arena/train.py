"""One run: a pool, an arm and a seed on TRL's GRPO trainer, as a row of what it came to."""

from __future__ import annotations

import platform
import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from random import Random
from typing import Any

import controls
import numpy as np
import policy
import torch
from arms import Arm, named
from counting import Counting
from datasets import Dataset
from numpy.typing import NDArray
from pools import ON_BOTH, POOLS, PROBES, SIZE, draw, tag
from stats import area
from suites import Settings
from transformers import PrinterCallback, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from sparft_plugin import plugins
from sparft_plugin.hosts.trl import with_sparft
from sparft_plugin.prompts import prompt_id

if not plugins.manager().is_registered(controls):
    plugins.manager().register(controls, name="arena")

BINS = (0.0, 0.02, 0.1, 0.3, 0.7, 1.0)
"""Edges of the bins of held-out prompts, by their pass rate before training."""


class _Watch(TrainerCallback):
    """Evaluates now and then, tells an oracle, and ends the run at its budget."""

    def __init__(self, settings: Settings, held_out: Any, tell: Any) -> None:
        self.settings, self.held_out, self.tell = settings, held_out, tell
        self.curve: list[tuple[int, float]] = []
        self.seconds = 0.0
        self.trainer: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Evaluate the untrained model."""
        self.evaluate()
        self.tell(self.trainer)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Look whether an evaluation is due, or the budget spent."""
        done = self.trainer.rollouts >= self.settings.budget
        if done or self.trainer.rollouts >= self.curve[-1][0] + self.settings.every:
            self.evaluate()
        self.tell(self.trainer)
        control.should_training_stop = done

    def evaluate(self) -> None:
        """Add a point to the curve; the time it takes is not the run's."""
        began = time.perf_counter()
        rate = float(self.held_out(self.trainer.model).mean())
        self.curve.append((self.trainer.rollouts, round(rate, 5)))
        self.seconds += time.perf_counter() - began


def train(pool_name: str, arm_name: str, seed: int, settings: Settings) -> dict[str, Any]:
    """Make one run.

    Returns
    -------
    dict
        A row: ``area`` under the held-out curve by rollouts and its ``end``, both in [0, 1]; the
        curve; ``rollouts``, ``probes``, ``tokens``, ``seconds``, ``cpu_seconds`` and ``updates``,
        the clocks; pass@k by difficulty bin; and what was chosen.
    """
    torch.set_num_threads(1)
    pool, arm = (POOLS | ON_BOTH)[pool_name], named(arm_name)
    model, tokenizer = policy.load(pool.world.name)
    drawn = draw(pool, seed)
    before = policy.pass_rates(model, tokenizer, drawn.pairs)
    tagged = tag(pool, drawn.rows, before, seed)
    if arm.reduced:
        # The reduction gives arms of its own to what it keeps.
        tagged = [{k: v for k, v in row.items() if k != "extra_info"} for row in tagged]
    held_out, known = policy.pairs_of(drawn.held_out), policy.pairs_of(drawn.known)
    held_out_before = policy.pass_rates(model, tokenizer, held_out)
    known_before = policy.pass_rates(model, tokenizer, known) if known else None
    watch = _Watch(
        settings,
        lambda now: policy.pass_rates(now, tokenizer, held_out),
        _teller(drawn.rows, tokenizer) if arm_name == "oracle" else lambda trainer: None,
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(
            model, tokenizer, tagged, arm, seed + arm.shift, settings, folder, pool.world.length
        )
        watch.trainer = trainer
        trainer.add_callback(watch)
        trainer.remove_callback(PrinterCallback)
        began, cpu = time.perf_counter(), _cpu()
        trainer.train()
        seconds = time.perf_counter() - began - watch.seconds
        cpu_seconds = _cpu() - cpu - watch.seconds
    after = policy.pass_rates(trainer.model, tokenizer, held_out)
    curve = watch.curve
    return {
        "pool": pool_name,
        "arm": arm_name,
        "seed": seed,
        "area": area(curve, settings.budget),
        "end": curve[-1][1],
        "curve": curve,
        "rollouts": trainer.rollouts,
        "probes": SIZE * PROBES if arm.probed else 0,
        "tokens": trainer.tokens,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu_seconds, 2),
        "updates": trainer.state.global_step,
        "silent": round(trainer.silent / trainer.groups, 4),
        "picks": {str(skill): trainer.picks[skill] for skill in sorted(trainer.picks)},
        "bins": bins(held_out_before, after),
        "known": None
        if known_before is None
        else [
            round(float(known_before.mean()), 4),
            round(float(policy.pass_rates(trainer.model, tokenizer, known).mean()), 4),
        ],
        "section": arm.section,
        "settings": asdict(settings),
        "versions": {
            **{name: version(name) for name in ("sparft-plugin", "trl", "transformers", "torch")},
            "python": platform.python_version(),
        },
    }


def _trainer(
    model: Any,
    tokenizer: Any,
    rows: Sequence[dict[str, Any]],
    arm: Arm,
    seed: int,
    settings: Settings,
    folder: str,
    length: int,
) -> Any:
    chance = Random(f"coins {seed}")

    def accuracy(completions: Any, answer: Any, coin: Any, **columns: Any) -> list[float]:
        said = [completion[0]["content"].strip() for completion in completions]
        return [
            float(chance.random() < 0.5 if flip else given == wanted)
            for given, wanted, flip in zip(said, answer, coin, strict=True)
        ]

    class Arena(Counting, with_sparft(GRPOTrainer)):  # type: ignore[misc]
        pass

    return Arena(
        model=model,
        processing_class=tokenizer,
        reward_funcs=accuracy,
        args=GRPOConfig(
            output_dir=folder,
            seed=seed,
            per_device_train_batch_size=settings.groups * settings.rollouts,
            gradient_accumulation_steps=1,
            num_generations=settings.rollouts,
            max_completion_length=length + 2,
            temperature=1.0,
            top_p=1.0,
            top_k=0,
            learning_rate=settings.learning_rate,
            lr_scheduler_type="constant",
            max_steps=settings.budget // (settings.groups * settings.rollouts),
            save_strategy="no",
            logging_steps=10_000,
            beta=0.0,
            bf16=False,
            use_cpu=True,
            gradient_checkpointing=False,
            report_to=[],
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list(list(rows)),
        sparft={"seed": seed, **arm.section},
        budget=settings.budget,
        refill=arm.refill,
    )


def _teller(rows: Sequence[dict[str, Any]], tokenizer: Any) -> Any:
    """Tells an oracle the true pass rate of every prompt."""
    pairs = [(row["prompt"][0]["content"], row["answer"]) for row in rows]
    names = [prompt_id(row["data_source"], row["prompt"]) for row in rows]
    worth = np.array([not row["coin"] for row in rows])

    def tell(trainer: Any) -> None:
        rates = policy.pass_rates(trainer.model, tokenizer, pairs) * worth
        oracle = trainer.sparft_run.curriculum
        at = [oracle.pool.position(name) for name in names]
        oracle.rates[at] = rates

    return tell


def bins(before: NDArray[np.float64], after: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Mean pass@k of held-out prompts, by their pass rate before training; exact, not sampled."""
    found = []
    for low, high in zip(BINS[:-1], BINS[1:], strict=True):
        inside = (before >= low) & ((before < high) | (high == 1.0))
        if inside.any():
            entry: dict[str, Any] = {"low": low, "high": high, "prompts": int(inside.sum())}
            for k in (1, 8, 64):
                entry[f"pass@{k}"] = [
                    round(float((1 - (1 - rates[inside]) ** k).mean()), 4)
                    for rates in (before, after)
                ]
            found.append(entry)
    return found


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
