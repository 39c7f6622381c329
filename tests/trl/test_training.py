"""Real runs of TRL's trainers, held against a training run that is driven by hand."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch

from sparft_plugin.config.named import read_section
from sparft_plugin.curriculum import Pick, Prompt
from sparft_plugin.hosts.trl.rows import identify, read_pool
from sparft_plugin.training.run import TrainingRun
from tests.contract.by_hand import Answer, Record, assert_alike, drive, untimed
from tests.trl.tiny import (
    BOTH,
    EVALUATED,
    LIMIT,
    PROMPTS,
    ROLLOUTS,
    Generated,
    Rewards,
    history,
    needs_grpo_like_rloo,
    rows,
    trainer,
    weights,
)

ROOT = Path(__file__).parents[2]


def replayed(seen: Sequence[Sequence[Generated]], sparft: Any) -> Record:
    """Drive a run by hand with what a trainer generated."""
    left: list[list[Generated]] = []

    def choose(run: TrainingRun, step: int) -> list[Pick]:
        assert not left
        left.extend(seen[step][at : at + ROLLOUTS] for at in range(0, len(seen[step]), ROLLOUTS))
        if run.curriculum is not None:
            return run.select(len(left))
        return [Pick(-1, Prompt(identify({"prompt": group[0].prompt})[0])) for group in left]

    def answers(text: str) -> list[Answer]:
        group = left.pop(0)
        assert {one.prompt for one in group} == {text}
        return [Answer(one.text, one.tokens, one.reward) for one in group]

    data = rows()
    return drive(
        read_section(sparft),
        lambda options: read_pool(data, options, None),
        choose,
        answers,
        len(seen),
        LIMIT,
    )


class Watched:
    """Notes what a trainer's batches came to, after sparft has added its column."""

    def __init__(self, made: Any, rewards: Rewards) -> None:
        self.made, self.rewards, self.columns = made, rewards, list[torch.Tensor]()
        calculate = made._calculate_rewards

        def calculated(*args: Any) -> torch.Tensor:
            found = calculate(*args)
            if made.model.training:
                self.columns.append(found)
            return found

        made._calculate_rewards = calculated

    def record(self) -> Record:
        record, logged, picks = Record(), history(self.made), count()
        choosing = self.made.sparft_run.curriculum is not None
        for seen, found, metrics in zip(self.rewards.training, self.columns, logged, strict=True):
            ids = [identify({"prompt": one.prompt})[0] for one in seen[::ROLLOUTS]]
            paid = found[:, -1].reshape(-1, ROLLOUTS).tolist()
            terms = {i: t for i, t in zip(ids, paid, strict=True) if not math.isnan(t[0])}
            record.add([(next(picks) if choosing else None, i) for i in ids], terms, metrics)
        return record.close(self.made.sparft_run)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Watched]:
    """A run of six steps with evaluations between them."""
    rewards = Rewards()
    made = trainer(tmp_path_factory.mktemp("whole"), rewards, **EVALUATED)
    watched = Watched(made, rewards)
    made.train()
    return made, watched


def test_grpo_comes_to_what_a_run_by_hand_comes_to(whole: tuple[Any, Watched]) -> None:
    made, watched = whole
    assert_alike(watched.record(), replayed(watched.rewards.training, BOTH))
    last = history(made)[-1]
    assert last["sparft/curriculum/picks"] == 6 * PROMPTS
    assert last["sparft/reward/intrinsic"] == pytest.approx(last["rewards/sparft_intrinsic/mean"])
    assert last["reward"] == pytest.approx(
        last["rewards/letters/mean"] + last["rewards/sparft_intrinsic/mean"]
    )


def test_evaluations_pass_through(whole: tuple[Any, Watched]) -> None:
    made, watched = whole
    asked = {one.prompt for batch in watched.rewards.evaluations for one in batch}
    assert asked == set(rows(4)["prompt"])
    evaluated = [entry for entry in made.state.log_history if "eval_reward" in entry]
    assert len(evaluated) == 2
    for entry in evaluated:
        assert entry["eval_reward"] == entry["eval_rewards/letters/mean"]
        assert not any("sparft/" in name for name in entry)


def test_a_killed_run_goes_on_to_the_last_number(
    whole: tuple[Any, Watched], tmp_path: Path
) -> None:
    killed = launch([sys.executable, "-m", "tests.trl.tiny", str(tmp_path), "--kill"])
    assert killed.returncode == -9, killed.stderr[-2000:]
    assert not (tmp_path / "checkpoint-4").exists()
    made = trainer(tmp_path, **EVALUATED)
    made.train(resume_from_checkpoint=True)
    assert history(made) == history(whole[0])
    assert weights(made) == weights(whole[0])
    ours, others = (some.sparft_run.state_dict() for some in (made, whole[0]))
    assert ours["curriculum"] == others["curriculum"]
    assert ours["memory"]["header"] == others["memory"]["header"]


def test_two_processes_choose_and_learn_as_one(tmp_path: Path) -> None:
    done = launch(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
        + ["--master-port", "29611", "-m", "tests.trl.tiny", str(tmp_path)]
    )
    assert done.returncode == 0, done.stderr[-3000:]
    ranks = [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]
    # Twelve rollouts, six a process: the second of the three groups straddles them.
    batches = [
        [Generated(*one) for one in [*first, *second]]
        for first, second in zip(ranks[0]["seen"], ranks[1]["seen"], strict=True)
    ]
    by_hand = replayed(batches, BOTH)
    assert [untimed(entry) for entry in ranks[0]["history"]] == by_hand.metrics
    assert ranks[0]["curriculum"] == by_hand.state["curriculum"]


def launch(command: list[str]) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)


@needs_grpo_like_rloo
def test_rloo_too(tmp_path: Path) -> None:
    rewards = Rewards()
    made = trainer(tmp_path, rewards, "rloo", max_steps=3, save_strategy="no")
    watched = Watched(made, rewards)
    made.train()
    assert_alike(watched.record(), replayed(rewards.training, BOTH))


def test_generations_that_are_used_twice_are_learned_from_once(tmp_path: Path) -> None:
    rewards = Rewards()
    made = trainer(
        tmp_path,
        rewards,
        sparft="uniform",
        max_steps=8,
        save_strategy="no",
        per_device_train_batch_size=ROLLOUTS * PROMPTS // 2,
        steps_per_generation=2,
        num_iterations=2,
    )
    made.train()
    assert len(rewards.training) == 2
    assert made.sparft_run.curriculum.metrics()["observed"] == 2 * PROMPTS


def test_without_a_curriculum_prompts_are_the_trainers_own(tmp_path: Path) -> None:
    rewards, stock = Rewards(), Rewards()
    settings = {"max_steps": 3, "save_strategy": "no"}
    made = trainer(tmp_path, rewards, sparft="memory_r", **settings)
    watched = Watched(made, rewards)
    made.train()
    assert_alike(watched.record(), replayed(rewards.training, "memory_r"))
    trainer(tmp_path, stock, sparft=None, **settings).train()
    asked, drawn = ([[o.prompt for o in b] for b in r.training] for r in (rewards, stock))
    assert asked == drawn


def test_a_group_without_a_reward_is_left_out_and_its_pick_expires(tmp_path: Path) -> None:
    rewards = Rewards(lost="river")
    made = trainer(
        tmp_path, rewards, sparft={"defaults": "uniform", "max_incomplete": 1.0},
        max_steps=3, save_strategy="no",
    )  # fmt: skip
    made.train()
    lost = sum("river" in one.prompt for batch in rewards.training for one in batch[::ROLLOUTS])
    told = made.sparft_run.curriculum.metrics()
    assert lost
    assert (told["expired"], told["observed"]) == (lost, 3 * PROMPTS - lost)
    assert sum(entry["sparft/feedback/incomplete"] for entry in history(made)) == lost
