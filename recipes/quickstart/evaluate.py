"""Score a model on held-out rows: mean of several samples, and greedy beside it.

python recipes/quickstart/evaluate.py MODEL_DIR TEST.parquet --samples 4 --json OUT
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow.parquet as pq
import torch
from reward import compute_score
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers import PreTrainedTokenizerBase as Tokenizer

MAX_NEW_TOKENS = 32
"""Longest response, in tokens; the training run uses the same."""

BATCH = 512
"""Sequences generated at once."""


def generate(
    model: PreTrainedModel,
    tokenizer: Tokenizer,
    conversations: Sequence[list[dict[str, str]]],
    temperature: float,
) -> list[str]:
    """Return one response per conversation.

    Parameters
    ----------
    conversations : sequence of message lists
        As in the ``prompt`` column.
    temperature : float >= 0
        0 is greedy; otherwise plain sampling from torch's global generator, untruncated.
    """
    tokenizer.padding_side = "left"
    choice = (
        {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
        if temperature > 0
        else {"do_sample": False}
    )
    responses: list[str] = []
    for start in range(0, len(conversations), BATCH):
        inputs = tokenizer.apply_chat_template(
            [list(messages) for messages in conversations[start : start + BATCH]],
            add_generation_prompt=True,
            padding=True,
            return_tensors="pt",
            return_dict=True,
        )
        with torch.inference_mode():
            tokens = model.generate(**inputs, max_new_tokens=MAX_NEW_TOKENS, **choice)
        answers = tokens[:, inputs["input_ids"].shape[1] :]
        responses += tokenizer.batch_decode(answers, skip_special_tokens=True)
    return responses


def evaluate(
    model: PreTrainedModel,
    tokenizer: Tokenizer,
    rows: Sequence[dict[str, Any]],
    samples: int = 4,
    temperature: float = 1.0,
    seed: int = 0,
) -> dict[str, Any]:
    """Score a model on verl rows.

    Parameters
    ----------
    rows : sequence of dict
        verl's columns, as `tasks.rows` makes them.
    samples : int >= 1
        Sampled responses per row.
    temperature : float > 0
        Sampling temperature.
    seed : int
        Seed of the sampling.

    Returns
    -------
    dict
        ``mean_at_<samples>`` and ``greedy`` in [0, 1], ``per_cell`` with both by family and level,
        and the settings.
    """
    model.eval()
    torch.manual_seed(seed)
    conversations = [row["prompt"] for row in rows]

    def score(responses: list[str]) -> list[float]:
        asked = [row for row in rows for _ in range(len(responses) // len(rows))]
        pairs = zip(asked, responses, strict=True)
        return [
            compute_score(row["data_source"], answer, row["reward_model"]["ground_truth"])["acc"]
            for row, answer in pairs
        ]

    greedy = score(generate(model, tokenizer, conversations, 0.0))
    repeated = [messages for messages in conversations for _ in range(samples)]
    flat = score(generate(model, tokenizer, repeated, temperature))
    sampled = [fmean(flat[at * samples : (at + 1) * samples]) for at in range(len(rows))]

    members: dict[str, list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        members[f"{row['extra_info']['family']}/{row['extra_info']['level']}"].append(at)
    mean_name = f"mean_at_{samples}"
    return {
        mean_name: fmean(sampled),
        "greedy": fmean(greedy),
        "per_cell": {
            cell: {
                mean_name: fmean(sampled[at] for at in places),
                "greedy": fmean(greedy[at] for at in places),
            }
            for cell, places in members.items()
        },
        "rows": len(rows),
        "temperature": temperature,
        "seed": seed,
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path, help="model folder in transformers' format")
    parser.add_argument("test", type=Path, help="parquet file of held-out rows")
    parser.add_argument("--samples", type=int, default=4, help="sampled responses per row")
    parser.add_argument("--temperature", type=float, default=1.0, help="sampling temperature")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sampling")
    parser.add_argument("--json", type=Path, help="file for the result")
    args = parser.parse_args(argv)
    if not args.model.is_dir():
        parser.error(f"{args.model} is not a folder")

    result = evaluate(
        AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32),
        AutoTokenizer.from_pretrained(args.model),
        pq.read_table(args.test).to_pylist(),
        args.samples,
        args.temperature,
        args.seed,
    )
    text = json.dumps(result, indent=2) + "\n"
    if args.json:
        args.json.write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
