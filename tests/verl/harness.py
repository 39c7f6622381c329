"""Run the real ``verl.trainer.main_ppo`` on a CPU with a tiny model and tiny data."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

TIMEOUT = 900
"""Seconds after which a run hangs; the slowest machine seen took half of it."""
SLOW = pytest.mark.skipif(
    os.environ.get("SPARFT_SLOW") != "1",
    reason="one run of verl more; make test-slow makes it",
)
REWARD = '''
def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    """Deterministic in the text: correct when it has an even number of bytes."""
    correct = float(len(solution_str.encode()) % 2 == 0)
    return {"score": correct, "acc": correct}
'''


@dataclass
class VerlRun:
    """What a finished run left behind."""

    returncode: int
    output: str
    metrics: list[dict[str, Any]]


def rows(n: int, offset: int = 0) -> list[dict[str, Any]]:
    """Sums and word tasks, so that clusters exist."""
    made = []
    for i in range(offset, offset + n):
        family = ("sum", "reverse", "count")[i % 3]
        question = {
            "sum": f"What is {i} plus {i + 7}?",
            "reverse": f"Spell the word number{i} backwards.",
            "count": f"How many letters are in alphabet{'x' * (i % 9)}{i}?",
        }[family]
        made.append(
            {
                "data_source": f"tiny/{family}",
                "prompt": [{"role": "user", "content": question}],
                "ability": "toy",
                "reward_model": {"style": "rule", "ground_truth": str(i)},
                "extra_info": {"split": "train", "index": i, "difficulty": (i % 5) / 4},
            }
        )
    return made


def write_workspace(folder: Path) -> None:
    """Write model, train.parquet, val.parquet and reward.py into a folder."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "recipes" / "quickstart"))
    import torch
    from model import build_tokenizer
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    tokenizer = build_tokenizer()
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=256,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    pq.write_table(pa.Table.from_pylist(rows(60)), folder / "train.parquet")
    pq.write_table(pa.Table.from_pylist(rows(6, offset=1000)), folder / "val.parquet")
    (folder / "reward.py").write_text(REWARD)


def overrides(folder: Path, steps: int, **extra: Any) -> list[str]:
    """Return a small GRPO command line as a user would have it, without any sparft name."""
    settings = {
        "+sparft_platform": "cpu",
        "algorithm.adv_estimator": "grpo",
        "data.train_files": folder / "train.parquet",
        "data.val_files": folder / "val.parquet",
        "data.train_batch_size": 4,
        "data.max_prompt_length": 96,
        "data.max_response_length": 12,
        "actor_rollout_ref.model.path": folder / "model",
        "actor_rollout_ref.actor.optim.lr": 1e-3,
        "actor_rollout_ref.actor.ppo_mini_batch_size": 4,
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu": 16,
        "actor_rollout_ref.rollout.n": 4,
        "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu": 16,
        "actor_rollout_ref.rollout.max_model_len": 128,
        "actor_rollout_ref.rollout.max_num_seqs": 32,
        "actor_rollout_ref.rollout.max_num_batched_tokens": 512,
        # One process less that imports vLLM, which is most of what a small run costs.
        "+actor_rollout_ref.rollout.engine_kwargs.vllm.distributed_executor_backend": (
            "vllm.v1.executor.uniproc_executor.UniProcExecutor"
        ),
        "reward.num_workers": 1,
        "reward.custom_reward_function.path": folder / "reward.py",
        "trainer.logger": "[console,file]",
        "trainer.project_name": "tests",
        "trainer.experiment_name": "tiny",
        "trainer.val_before_train": False,
        "trainer.test_freq": -1,
        "trainer.save_freq": -1,
        "trainer.total_epochs": 100,
        "trainer.total_training_steps": steps,
        "trainer.default_local_dir": folder / "checkpoints",
    }
    settings.update(extra)
    return [f"{key}={value}" for key, value in settings.items()]


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a CPU run."""
    return {
        **os.environ,
        "VERL_PLATFORM": "cpu",
        "VERL_ENGINE_DEVICE": "cuda",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "VLLM_NO_USAGE_STATS": "1",
        "RAY_memory_monitor_refresh_ms": "0",
        "SPARFT_CACHE": str(folder / "cache"),
        "VERL_FILE_LOGGER_PATH": str(folder / "metrics.jsonl"),
    }


def run_verl(folder: Path, arguments: list[str], timeout: int = TIMEOUT) -> VerlRun:
    """Run ``python -m verl.trainer.main_ppo`` to its end and read its metrics."""
    metrics_file = folder / "metrics.jsonl"
    metrics_file.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "verl.trainer.main_ppo", *arguments],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )
    lines = metrics_file.read_text().splitlines() if metrics_file.exists() else []
    return VerlRun(done.returncode, done.stdout, [json.loads(line)["data"] for line in lines])


@dataclass
class Running:
    """A verl run in the background."""

    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def output(self) -> str:
        return (self.folder / "run.log").read_text(errors="replace")

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """Rows of the steps that were logged so far."""
        path = self.folder / "metrics.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line)["data"] for line in lines]

    def wait_for(self, happened: Callable[[], object]) -> None:
        """Wait until something has happened in the run, which must not end before."""
        end = time.monotonic() + TIMEOUT
        while not happened():
            assert self.process.poll() is None, self.output[-4000:]
            assert time.monotonic() < end, self.output[-4000:]
            time.sleep(0.02)

    def kill(self, actor: str) -> None:
        """SIGKILL one process of a Ray actor class."""
        started = psutil.Process(self.process.pid).children(recursive=True)
        found = [child for child in started if f"ray::{actor}" in " ".join(child.cmdline())]
        found[0].kill()


@contextmanager
def running(folder: Path, steps: int, *extra: str) -> Iterator[Running]:
    """Start a run, and kill what is left of it in the end."""
    (folder / "metrics.jsonl").unlink(missing_ok=True)
    with (folder / "run.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "verl.trainer.main_ppo", *overrides(folder, steps), *extra],
            cwd=folder,
            env=environment(folder),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Running(folder, process)
    finally:
        kill_all(process)


def kill_all(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL a run and all that it started: Ray's daemons have process groups of their own."""
    try:
        started = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        started = []
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    for child in started:
        try:
            # psutil knows a process by its start time too: a reused id is not killed.
            child.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait(30)
    psutil.wait_procs(started, timeout=30)
