"""Every host gives the same picks, terms, metrics and state for the same outcomes.

A `Script` says what is answered, `direct` drives a `TrainingRun` with it by hand, and each host is
driven with it through its own adapter, over stand-ins that follow the published signatures.
"""

from __future__ import annotations

import hashlib
import importlib
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from datasets import Dataset

from sparft_plugin.corpus import Columns
from sparft_plugin.corpus.sources import DatasetSource
from sparft_plugin.curriculum import Pick, Prompt
from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.trl.trainer import with_sparft
from sparft_plugin.prompts import prompt_id
from sparft_plugin.training.pool import Pool
from sparft_plugin.training.run import TrainingRun
from tests.contract.by_hand import Answer, Record, assert_alike, drive

STEPS, PROMPTS, ROLLOUTS, LIMIT = 5, 4, 4, 9
WORDS = ("apple", "river", "stone", "cloud", "seven", "green", "mirror", "candle", "window")
MEMORY = {"name": "memory_r_plus", "encoder": "all-MiniLM-L6-v2", "warmup_steps": 1}
SECTIONS = {
    "curriculum": {"curriculum": {"name": "sec"}},
    "both": {"curriculum": {"name": "sparft"}, "memory": MEMORY},
    "memory": {"memory": {"name": "memory_r", "encoder": "all-MiniLM-L6-v2"}},
}
"""In each a group may be lost at any step."""


def section(name: str) -> dict[str, Any]:
    return {"seed": 3, "max_incomplete": 1.0, **SECTIONS[name]}


def _row(number: int) -> dict[str, Any]:
    prompt = [{"role": "user", "content": f"What is {number} and {number + 1}?"}]
    tag = {"id": prompt_id("sums", prompt), "arm": number % 3, "difficulty": number / 12}
    return {
        "prompt": prompt,
        "data_source": "sums",
        "reward_model": {"style": "rule", "ground_truth": str(2 * number + 1)},
        "extra_info": {"sparft": tag},
    }


ROWS = [_row(number) for number in range(12)]
IDS = [row["extra_info"]["sparft"]["id"] for row in ROWS]


def rows() -> Dataset:
    return Dataset.from_list(ROWS)


def text_of(row: dict[str, Any]) -> str:
    return str(row["prompt"][0]["content"])


@dataclass
class Script:
    """What the model answers: a function of the prompt, of how often it was asked, and rollout."""

    asked: Counter[str] = field(default_factory=Counter)

    def answers(self, text: str) -> list[str]:
        """Responses of a group; a lost rollout is told by its first word."""
        self.asked[text] += 1
        found = []
        for rollout in range(ROLLOUTS):
            code = hashlib.sha1(f"{text}/{self.asked[text]}/{rollout}".encode()).digest()
            first = "lost" if code[0] < 12 else "right" if code[1] < 90 else "wrong"
            words = [WORDS[byte % len(WORDS)] for byte in code[2 : 6 + code[2] % 5]]
            found.append(" ".join([first, *words]))
        return found


def score(response: str) -> float | None:
    kind = response.split()[0]
    return None if kind == "lost" else float(kind == "right")


def direct(name: str) -> Record:
    """Drive a run by hand."""
    script, columns = Script(), Columns(template=None)

    def choose(run: TrainingRun, step: int) -> list[Pick]:
        if run.curriculum is not None:
            return run.select(PROMPTS)
        return [Pick(-1, Prompt(IDS[at])) for at in drawn(step)]

    def answers(text: str) -> list[Answer]:
        return [Answer(said, len(said.split()), score(said)) for said in script.answers(text)]

    return drive(
        section(name),
        lambda options: Pool.from_source(DatasetSource(rows(), "rows"), columns, options),
        choose,
        answers,
        STEPS,
        LIMIT,
    )


def drawn(step: int) -> list[int]:
    """Rows of a step in the recipe's own order, where there is no curriculum."""
    return [(step * PROMPTS + at) % len(ROWS) for at in range(PROMPTS)]


class TrainerStandIn:
    """The part of GRPOTrainer that sparft meets, one process, a scripted model."""

    def __init__(self, model: Any, reward_funcs: Any, args: Any, train_dataset: Any) -> None:
        self.model, self.args, self.train_dataset = model, args, train_dataset
        self.reward_funcs = [reward_funcs]
        self.reward_func_names = [reward_funcs.__name__]
        self.reward_processing_classes = [None]
        self.reward_weights = torch.ones(1)
        self.num_generations, self.max_completion_length = ROLLOUTS, LIMIT
        self.state = SimpleNamespace(global_step=0)
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


def trl(name: str) -> Record:
    trainer = with_sparft(TrainerStandIn)(
        model=SimpleNamespace(training=True),
        reward_funcs=accuracy,
        args=SimpleNamespace(output_dir="unused"),
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


class SampleStandIn:
    """The part of slime's Sample that sparft meets."""

    def __init__(self, prompt: Any, label: str) -> None:
        self.prompt, self.label, self.metadata = prompt, label, {}
        self.response, self.response_length, self.reward = "", 0, None
        self.group_index = self.index = None
        self.status = SimpleNamespace(value="pending")

    def get_reward_value(self, args: Any) -> Any:
        return self.reward if not args.reward_key else self.reward[args.reward_key]


class SourceStandIn:
    """The part of slime's RolloutDataSourceWithBuffer that sparft meets."""

    def __init__(self, args: Any) -> None:
        self.args, self.buffer = args, []
        self.sample_group_index = self.sample_index = 0
        samples = [SampleStandIn(r["prompt"], r["reward_model"]["ground_truth"]) for r in ROWS]
        self.dataset = SimpleNamespace(origin_samples=samples)

    def _get_samples_from_buffer(self, num_samples: int) -> list[Any]:
        taken, self.buffer = self.buffer[:num_samples], self.buffer[num_samples:]
        return taken

    def save(self, rollout_id: int) -> None: ...

    def load(self, rollout_id: int | None = None) -> None: ...


@pytest.fixture
def slime_hooks(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = ModuleType("slime.rollout.data_source")
    module.RolloutDataSourceWithBuffer = SourceStandIn  # type: ignore[attr-defined]
    for name in ("slime", "slime.rollout"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for name in [name for name in sys.modules if name.startswith("sparft_plugin.hosts.slime")]:
        monkeypatch.delitem(sys.modules, name)
    return importlib.import_module("sparft_plugin.hosts.slime")


@pytest.mark.parametrize("name", ["curriculum", "both"])
def test_slime_learns_and_saves(
    name: str, slime_hooks: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "section.yaml"
    file.write_text(yaml.safe_dump(section(name)))
    monkeypatch.setenv("SPARFT", str(file))
    args = SimpleNamespace(
        n_samples_per_prompt=ROLLOUTS, reward_key=None, rollout_max_response_len=LIMIT,
        save=str(tmp_path), load=str(tmp_path),
    )  # fmt: skip
    source, script, record = slime_hooks.PickSource(args), Script(), Record()
    for _ in range(STEPS):
        groups = source.get_samples(PROMPTS)
        before = []
        for group in groups:
            for sample, said in zip(group, script.answers(text_of(vars(group[0]))), strict=True):
                sample.response, sample.response_length = said, len(said.split())
                sample.reward = score(said)
                sample.status.value = "aborted" if sample.reward is None else "completed"
            before.append([sample.reward for sample in group])
        slime_hooks.feedback(args, groups, source.get_samples)
        terms = {}
        for group, rewards in zip(groups, before, strict=True):
            if name == "both" and None not in rewards:
                after = [sample.reward for sample in group]
                paid = [a - b for a, b in zip(after, rewards, strict=True)]
                terms[group[0].metadata["sparft"]["id"]] = paid
        tags = [group[0].metadata["sparft"] for group in groups]
        metrics = {k: v for k, v in args.sparft_metrics.items() if k != "sparft/feedback/late"}
        record.add([(tag["pick"], tag["id"]) for tag in tags], terms, metrics)
    said = Script()

    def answers(text: str) -> list[Answer]:
        return [Answer(one, len(one.split()), score(one)) for one in said.answers(text)]

    pool = slime_hooks.PickSource(args).pool
    by_hand = drive(
        section(name), lambda _: pool, lambda run, _: run.select(PROMPTS), answers, STEPS, LIMIT
    )
    assert_alike(record.close(source.run), by_hand)
    told = source.run.curriculum.metrics()
    assert told["observed"] + told["expired"] == STEPS * PROMPTS
    source.save(3)
    again = slime_hooks.PickSource(args)
    again.load(3)
    assert again.run.state_dict()["curriculum"] == source.run.state_dict()["curriculum"]
    picks = [g[0].metadata["sparft"] for g in source.get_samples(PROMPTS)]
    assert [g[0].metadata["sparft"] for g in again.get_samples(PROMPTS)] == picks
    # What a partial rollout puts back comes out first, with its pick.
    again.buffer.append([SampleStandIn("", "") for _ in range(ROLLOUTS)])
    again.buffer[0][0].metadata = {"sparft": picks[0]}
    assert again.waiting() == {picks[0]["pick"]}
    with pytest.raises(SparftError, match="give --data-source-path"):
        slime_hooks.feedback(args, groups, lambda n: [])


HOSTS: dict[str, Callable[[str], Record]] = {"trl": trl}


@pytest.fixture(scope="module", params=SECTIONS)
def expected(request: pytest.FixtureRequest) -> tuple[str, Record]:
    return request.param, direct(request.param)


@pytest.mark.parametrize("host", HOSTS)
def test_the_same_outcomes_come_to_the_same(host: str, expected: tuple[str, Record]) -> None:
    name, by_hand = expected
    assert_alike(HOSTS[host](name), by_hand)
