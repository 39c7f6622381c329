"""The arena's model: two layers over bytes, taught how often to answer each skill rightly.

    python recipes/arena/policy.py [WORLD ...]    # a minute or two each

The recipe ships what this makes in `models/`.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random

import torch
from numpy.typing import NDArray
from skills import WORLDS, Task, World
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, Qwen2ForCausalLM

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "quickstart"))

from model import IGNORED, build_model, build_tokenizer, encode  # noqa: E402

STEPS, EVEN_STEPS, BATCH, RATE = 2500, 1500, 64, 3e-3
EVEN_SHARE = 0.7
"""Share of right answers of every skill in the first steps, which teach both ways."""


def load(world: str) -> tuple[Qwen2ForCausalLM, object]:
    """Model of a world, as shipped, and its tokenizer."""
    return load_from(HERE / "models" / world), build_tokenizer()


def load_from(folder: Path) -> Qwen2ForCausalLM:
    """Model of a folder, in float32."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


@torch.no_grad()
def pass_rates(
    model: Qwen2ForCausalLM, tokenizer: object, pairs: Sequence[tuple[str, str]]
) -> NDArray:
    """Exact pass rate of prompts: the probability of the one right response, shape (pairs,).

    At temperature 1 and without top-k or top-p, as the arena samples.
    """
    was = model.training
    model.eval()
    ids, labels = encode(pairs, tokenizer)
    # Padding is on the right: a causal model never looks at it.
    logits = model(input_ids=ids).logits[:, :-1].flatten(0, 1)
    loss = cross_entropy(logits, labels[:, 1:].flatten(), reduction="none", ignore_index=IGNORED)
    model.train(was)
    return torch.exp(-loss.view(len(pairs), -1).double().sum(1)).numpy()


def warm_start(world: World, seed: int = 0) -> tuple[Qwen2ForCausalLM, object]:
    """Imitate both ways of every skill first, then each skill's own share of right answers."""
    torch.manual_seed(seed)
    rng = Random(seed)
    tokenizer = build_tokenizer()
    model = build_model(tokenizer, width=96, layers=2, heads=world.heads)
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    model.train()
    for step in range(STEPS):
        rise, fall = min(1.0, (step + 1) / 100), math.cos(math.pi * step / STEPS)
        for group in optimizer.param_groups:
            group["lr"] = RATE * rise * 0.5 * (1.02 + fall)
        pairs = []
        for _ in range(BATCH):
            skill = rng.choice(world.skills)
            share = EVEN_SHARE if step < EVEN_STEPS else world.shares[skill]
            task = world.make(skill, rng)
            pairs.append((task.prompt, task.right if rng.random() < share else task.wrong))
        ids, labels = encode(pairs, tokenizer)
        logits = model(input_ids=ids).logits[:, :-1].flatten(0, 1)
        loss = cross_entropy(logits, labels[:, 1:].flatten(), ignore_index=IGNORED)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 500 == 499:
            sys.stderr.write(f"{world.name} step {step + 1}/{STEPS} loss {loss.item():.3f}\n")
    return model, tokenizer


def pairs_of(tasks: Sequence[Task]) -> list[tuple[str, str]]:
    """Prompt and right answer of tasks."""
    return [(task.prompt, task.right) for task in tasks]


def main() -> None:
    """Make the models of worlds, and write down their pass rates beside the shares asked for."""
    torch.set_num_threads(1)
    for world in [WORLDS[name] for name in sys.argv[1:] or WORLDS]:
        model, tokenizer = warm_start(world)
        out = HERE / "models" / world.name
        model.save_pretrained(out)
        rng = Random(1)
        found = [
            pass_rates(
                model, tokenizer, pairs_of([world.make(skill, rng) for _ in range(64)])
            ).mean()
            for skill in world.skills
        ]
        record = {
            "parameters": model.num_parameters(),
            "asked": [round(share, 4) for share in world.shares],
            "found": [round(float(rate), 4) for rate in found],
        }
        (out / "warm_start.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
