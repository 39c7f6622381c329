"""verl's two trainers, as far as sparft meets them, and a run of each.

Dataset, reward manager, replay buffer and loop manager are ours over verl's own classes; scripted
are the model and the TransferQueue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import transfer_queue as tq
from omegaconf import OmegaConf
from tensordict import TensorDict
from torch.nn.utils.rnn import pad_sequence
from verl import DataProto
from verl.experimental.agent_loop import AgentLoopManager
from verl.trainer.ppo.utils import create_rl_dataset
from verl.utils.import_utils import load_extern_object

from sparft_plugin.hosts.verl import preflight
from sparft_plugin.hosts.verl.legacy import FeedbackAgentLoopManager
from sparft_plugin.hosts.verl.refusals import is_legacy
from sparft_plugin.hosts.verl.reward_manager import FeedbackRewardManager
from tests.contract.by_hand import Record
from tests.contract.hosts.script import (
    LIMIT,
    PROMPTS,
    ROLLOUTS,
    ROWS,
    STEPS,
    Script,
    drawn,
    score,
    section,
    text_of,
)
from tests.unit.recipes import recipe

UNSET = {"accuracy": None, "group_filter": {"name": None}, "memory": None, "curriculum": None}
"""What verl's config asks of a section."""


class Words:
    """A tokenizer with a token a word."""

    def __init__(self) -> None:
        self.known: list[str] = []

    def encode(self, text: str) -> list[int]:
        words = text.split()
        self.known += [word for word in dict.fromkeys(words) if word not in self.known]
        return [self.known.index(word) for word in words]

    def decode(self, ids: torch.Tensor, skip_special_tokens: bool) -> str:
        return " ".join(self.known[i] for i in ids.tolist())

    def apply_chat_template(self, messages: Any, **options: Any) -> dict[str, list[int]]:
        return {"input_ids": self.encode(messages[0]["content"])}


def accuracy(data_source: str, solution_str: str, **told: Any) -> float | None:
    return score(solution_str)


class Workers:
    """The driver's dataset, and the model and reward worker that answer its items."""

    def __init__(self, name: str, folder: Path, settings: Mapping[str, Any] | None = None) -> None:
        pq.write_table(pa.Table.from_pylist(ROWS), folder / "rows.parquet")
        self.config = recipe(
            "sparft",
            {
                "data.train_files": str(folder / "rows.parquet"),
                "data.val_files": str(folder / "none.parquet"),
                "data.cache_dir": str(folder),
                "data.train_batch_size": PROMPTS,
                "data.max_response_length": LIMIT,
                "algorithm.adv_estimator": "grpo",
                "actor_rollout_ref.rollout.n": ROLLOUTS,
                "trainer.default_local_dir": str(folder / "checkpoints"),
                "trainer.v1.sampler.sampler_kwargs.poll_interval": 0.0,
                **(settings or {}),
            },
        )
        wraps = self.config.sparft.wraps
        self.config.sparft = OmegaConf.create({**UNSET, **section(name), "wraps": wraps})
        preflight.adopt(self.config)
        self.tokenizer = Words()
        self.script = Script(loses=not is_legacy(self.config))
        self.dataset = create_rl_dataset(
            self.config.data.train_files, self.config.data, self.tokenizer, None, is_train=True
        )
        self.loop = asyncio.new_event_loop()
        self.manager = self.loop.run_until_complete(self._manager())

    async def _manager(self) -> FeedbackRewardManager:
        return FeedbackRewardManager(self.config, self.tokenizer, accuracy)

    def items(self, step: int) -> list[dict[str, Any]]:
        """The next batch, as a data loader asks for it."""
        items = self.dataset.__getitems__(drawn(step))
        if self.dataset.run.remembering is not None:
            # One encoder, so one at a time.
            ids = [item["extra_info"]["sparft"]["id"] for item in items]
            self.dataset.run.remembering.queries.wait(ids)
        return items

    def rollouts(
        self, item: dict[str, Any]
    ) -> Iterator[tuple[torch.Tensor, dict[str, Any] | None]]:
        """Tokens of each rollout and what its reward worker returns; None where it was lost."""
        for said in self.script.answers(text_of({"prompt": item["raw_prompt"]})):
            tokens = torch.tensor(self.tokenizer.encode(said))
            if score(said) is None:
                yield tokens, None
                continue
            data = DataProto.from_dict(
                tensors={
                    "responses": tokens[None],
                    "attention_mask": torch.ones(1, len(tokens), dtype=torch.int64),
                },
                non_tensors={
                    key: np.array([item[key]], dtype=object)
                    for key in ("data_source", "reward_model", "extra_info")
                },
            )
            yield tokens, self.loop.run_until_complete(self.manager.run_single(data))


class Queue:
    """The TransferQueue's calls over plain dictionaries."""

    def __init__(self) -> None:
        self.tags: dict[str, dict[str, Any]] = {}
        self.fields: dict[str, dict[str, Any]] = {}

    def put(self, key: str, tag: dict[str, Any], **fields: Any) -> None:
        self.tags[key], self.fields[key] = tag, fields

    def kv_list(self) -> dict[str, Any]:
        return {"train": self.tags}

    def kv_clear(self, partition_id: str, keys: list[str]) -> None:
        for key in keys:
            self.tags.pop(key, None)

    def kv_batch_get(
        self, keys: list[str], partition_id: str, select_fields: list[str]
    ) -> dict[str, list[Any]]:
        return {name: [self.fields[key][name] for key in keys] for name in select_fields}

    def kv_batch_put(self, keys: list[str], partition_id: str, fields: TensorDict) -> None:
        for key, scores in zip(keys, fields["rm_scores"].unbind(), strict=True):
            self.fields[key]["shaped"] = scores


def outcome(tokens: torch.Tensor, result: dict[str, Any]) -> torch.Tensor:
    """The reward at the last token of a response, where verl puts it."""
    scores = torch.zeros(len(tokens))
    scores[-1] = result["reward_score"]
    return scores


def paid(before: torch.Tensor, after: torch.Tensor, last: int) -> float:
    """What was added to a rollout's reward: at its last token, and nowhere else."""
    term = after - before
    added = float(term[last])
    term[last] = 0.0
    assert term.count_nonzero() == 0
    return added


def picked(items: list[dict[str, Any]]) -> list[tuple[int | None, str]]:
    tags = [item["extra_info"]["sparft"] for item in items]
    return [(tag["pick"], tag["id"]) for tag in tags]


def v1(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Record:
    """Sample from our replay buffer what the agent loops have put into the queue."""
    workers, queue, record = Workers(name, folder), Queue(), Record()
    for call in ("kv_list", "kv_clear", "kv_batch_get", "kv_batch_put"):
        monkeypatch.setattr(tq, call, getattr(queue, call))
    sampler = workers.config.trainer.v1.sampler

    class Trainer:
        train_dataset = workers.dataset

        def refill(self, prompts: int) -> None:
            raise NotImplementedError

    buffer = load_extern_object(sampler.custom_sampler.path, sampler.custom_sampler.name)(
        trainer_mode="sync",
        trainer_config=workers.config.trainer,
        max_off_policy_threshold=None,
        max_off_policy_strategy="drop",
        sampler_kwargs=sampler.sampler_kwargs,
        refill_fn=Trainer().refill,
    )
    for step in range(STEPS):
        items = workers.items(step)
        for number, item in enumerate(items):
            uid, status = f"{step}-{number}", "finished"
            for rollout, (tokens, result) in enumerate(workers.rollouts(item)):
                if result is None:
                    status = "failure"
                    continue
                queue.put(
                    f"{uid}_{rollout}_0",
                    {"status": "success", "min_global_steps": step, "response_len": len(tokens)},
                    extra_info=item["extra_info"],
                    raw_prompt=item["raw_prompt"],
                    extra_fields={"reward_extra_info": result["reward_extra_info"]},
                    rm_scores=outcome(tokens, result),
                )
            queue.put(uid, {"is_prompt": True, "status": status, "global_steps": step})
        batch, metrics = buffer.sample(step, "train", PROMPTS)
        terms: dict[str, list[float]] = {}
        for fields in (queue.fields[key] for key in batch.keys):
            if "shaped" in fields:
                terms.setdefault(fields["extra_info"]["sparft"]["id"], []).append(
                    paid(fields["rm_scores"], fields["shaped"], -1)
                )
        queue.kv_clear("train", batch.keys)
        record.add(picked(items), terms, metrics)
    return record.close(workers.dataset.run)


def legacy(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Record:
    """Generate batches by our loop manager, over one of verl's that is told what comes back."""
    workers, record = Workers(name, folder, {"trainer.use_v1": False}), Record()
    manager = FeedbackAgentLoopManager(workers.config, llm_client=None)
    for step in range(STEPS):
        items = workers.items(step)
        told = [list(workers.rollouts(item)) for item in items]
        # Rows of a group need not stand together.
        rows = [(number, *told[number][i]) for i in range(ROLLOUTS) for number in range(PROMPTS)]
        generated = as_batch(step, rows)
        # Ray maps it read-only, so it must not be written to.
        before = generated.batch["rm_scores"]

        async def generate(self: Any, prompts: DataProto, out: DataProto = generated) -> DataProto:
            return out

        monkeypatch.setattr(AgentLoopManager, "generate_sequences", generate)
        infos = [items[number]["extra_info"] for number, *_ in rows]
        uids = [f"{step}-{number}" for number, *_ in rows]
        names = {"uid": objects(uids), "extra_info": objects(infos)}
        output = manager.generate_sequences(DataProto.from_dict(non_tensors=names))
        # Dumps and later steps of the trainer carry nothing of ours.
        assert not [key for key in output.non_tensor_batch if key.startswith("sparft_")]
        assert output.meta_info["reward_extra_keys"] == ["acc"]
        assert {tuple(told) for told in output.non_tensor_batch["reward_extra_info"]} == {("acc",)}
        terms: dict[str, list[float]] = {}
        for row, (_, tokens, _) in enumerate(rows):
            term = paid(before[row], output.batch["rm_scores"][row], len(tokens) - 1)
            terms.setdefault(infos[row]["sparft"]["id"], []).append(term)
        if "memory" not in section(name):
            terms = {}
        record.add(picked(items), terms, output.meta_info["timing"])
    return record.close(workers.dataset.run)


def as_batch(step: int, rows: list[tuple[int, torch.Tensor, Any]]) -> DataProto:
    """Rollouts of a step as verl's agent loop manager returns them, padded and with rewards."""
    responses = pad_sequence([tokens for _, tokens, _ in rows], batch_first=True)
    mask = pad_sequence([torch.ones_like(tokens) for _, tokens, _ in rows], batch_first=True)
    scores = [outcome(tokens, result) for _, tokens, result in rows]
    reports = [result["reward_extra_info"] for *_, result in rows]
    columns = {"reward_extra_info": reports, "min_global_steps": [step] * len(rows)}
    columns |= {key: [report[key] for report in reports] for key in reports[0]}
    prompts = torch.zeros(len(rows), 3, dtype=torch.int64)
    return DataProto.from_dict(
        tensors={
            "prompts": prompts,
            "responses": responses,
            "attention_mask": torch.cat([torch.ones_like(prompts), mask], dim=1),
            "rm_scores": pad_sequence(scores, batch_first=True),
        },
        non_tensors={key: objects(values) for key, values in columns.items()},
        meta_info={"reward_extra_keys": list(reports[0]), "timing": {}},
    )


def objects(values: list[Any]) -> np.ndarray[Any, Any]:
    """One object a row, as verl keeps what is no tensor."""
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made
