"""A real TRL run of a model of some thousand parameters, and what was generated in it.

``python -m tests.trl.tiny FOLDER`` trains two processes and resumes them; ``--kill`` dies on the
way. Both are what tests start beside themselves.
"""

from __future__ import annotations

import argparse
import os
import signal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import trl
from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from sparft_plugin.hosts.trl import with_sparft

ROLLOUTS, PROMPTS, LIMIT = 4, 3, 8
NAMED = {"grpo": (trl.GRPOTrainer, trl.GRPOConfig), "rloo": (trl.RLOOTrainer, trl.RLOOConfig)}
needs_grpo_like_rloo = pytest.mark.skipif(
    not hasattr(trl.RLOOTrainer, "_calculate_rewards"),
    reason="this trl's RLOOTrainer is not made like its GRPOTrainer; a later trl would run it",
)
BOTH = {
    "defaults": "sparft_memory",
    "reduction": {"clusters": 3, "per_cluster": 4},
    "memory": {"warmup_steps": 1},
}
EVALUATED = {"eval_strategy": "steps", "eval_steps": 3}
THINGS = ("river", "stone", "apple", "window")


class Generated(NamedTuple):
    """What a reward function saw of one rollout, and what it gave."""

    prompt: str
    text: str
    tokens: int
    reward: float | None


def rows(count: int = 24) -> Dataset:
    """A prompt and an answer, nothing else."""
    asked = [f"How many {THINGS[i % 4]}s are {i} and {i + i % 5}?" for i in range(count)]
    return Dataset.from_dict({"prompt": asked, "answer": [str(i) for i in range(count)]})


def tokenizer() -> Any:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate([*alphabet, "<end>", "<pad>"])}
    bytes_only = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_only.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=bytes_only,
        eos_token="<end>",
        pad_token="<pad>",
        padding_side="left",
        model_input_names=["input_ids", "attention_mask"],
    )


def model(tokens: Any) -> Any:
    torch.manual_seed(0)
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokens),
            hidden_size=32,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=96,
            eos_token_id=tokens.eos_token_id,
            pad_token_id=tokens.pad_token_id,
            bos_token_id=None,
        )
    )


class Rewards:
    """A reward function that remembers what it saw; what it gives depends on the text alone."""

    __name__ = "letters"

    def __init__(self, die_at: int | None = None, lost: str | None = None) -> None:
        self.die_at, self.lost = die_at, lost
        self.training: list[list[Generated]] = []
        self.evaluations: list[list[Generated]] = []
        self.trainer: Any = None

    def __call__(
        self, prompts: Any, completions: Any, completion_ids: Any = None, **columns: Any
    ) -> list[float | None]:
        assert len(columns["answer"]) == len(prompts)
        ids = completion_ids or [[0]] * len(prompts)
        given = list(zip(prompts, completions, map(len, ids), strict=True))
        seen = [Generated(p, c, n, self.score(p, c)) for p, c, n in given]
        training = self.trainer is None or self.trainer.model.training
        (self.training if training else self.evaluations).append(seen)
        if training and len(self.training) == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return [one.reward for one in seen]

    def score(self, prompt: str, text: str) -> float | None:
        if self.lost is not None and self.lost in prompt:
            return None
        return float(sum(map(ord, text)) % 3 == 0)


def trainer(
    folder: Path,
    rewards: Any = None,
    kind: str = "grpo",
    sparft: Any = BOTH,
    accuracy: str | None = None,
    data: Any = None,
    **settings: Any,
) -> Any:
    """A trainer of six steps, three prompts and twelve rollouts each, saved every second step."""
    torch.set_num_threads(1)
    cls, config = NAMED[kind]
    rewards, tokens = rewards or Rewards(), tokenizer()
    options = {
        "output_dir": str(folder),
        "per_device_train_batch_size": ROLLOUTS * PROMPTS,
        "num_generations": ROLLOUTS,
        "max_completion_length": LIMIT,
        "learning_rate": 1e-2,
        "max_steps": 6,
        "save_steps": 2,
        "logging_steps": 1,
        "report_to": [],
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "disable_tqdm": True,
        "seed": 3,
        "beta": 0.0,
    }
    ours = {} if sparft is None else {"sparft": sparft, "accuracy": accuracy}
    made = (with_sparft(cls) if ours else cls)(
        model=model(tokens),
        processing_class=tokens,
        reward_funcs=rewards,
        args=config(**{**options, **settings}),
        train_dataset=rows() if data is None else data,
        eval_dataset=rows(4) if "eval_steps" in settings else None,
        **ours,
    )
    if isinstance(rewards, Rewards):
        rewards.trainer = made
    return made


def history(made: Any) -> list[dict[str, Any]]:
    """What was logged at each step, without what time and log lines tell."""
    kept = [entry for entry in made.state.log_history if "sparft/pass_rate" in entry]
    return [
        {k: v for k, v in entry.items() if "/ms/" not in k and "time" not in k} for entry in kept
    ]


def weights(made: Any) -> bytes:
    return b"".join(part.detach().numpy().tobytes() for part in made.model.parameters())


def _two_processes(folder: Path) -> None:
    """Train four steps, go back to the second, and hold the two against each other."""
    load = torch.load
    # transformers asks for the optimizer on "cpu:0", a device that torch does not know.
    torch.load = lambda *args, **more: load(*args, **{**more, "map_location": "cpu"})
    settings = {"max_steps": 4, "per_device_train_batch_size": ROLLOUTS * PROMPTS // 2}
    rewards = Rewards()
    whole = trainer(folder, rewards, **settings)
    whole.train()
    rest = trainer(folder, **settings)
    rest.train(resume_from_checkpoint=str(folder / "checkpoint-2"))
    assert history(rest) == history(whole)
    assert weights(rest) == weights(whole)
    rank = whole.accelerator.process_index
    assert (whole.sparft_run is None) == (rank > 0)
    torch.save(
        {
            "seen": [[tuple(one) for one in batch] for batch in rewards.training],
            "history": history(whole),
            "curriculum": whole.sparft_run and whole.sparft_run.state_dict()["curriculum"],
        },
        folder / f"rank{rank}.pt",
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kill", action="store_true", help="die while the fourth batch is scored")
    arguments = parser.parse_args()
    if arguments.kill:
        trainer(arguments.folder, Rewards(die_at=4), **EVALUATED).train()
    else:
        _two_processes(arguments.folder)
