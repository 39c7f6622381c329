"""The quickstart's tasks and model under TRL: evaluate, train, evaluate, on one core.

python recipes/trl_quickstart/train.py --out runs/trl_quickstart
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

from sparft_plugin.hosts.trl import with_sparft

QUICKSTART = Path(__file__).resolve().parents[1] / "quickstart"
sys.path.insert(0, str(QUICKSTART))

from evaluate import evaluate  # noqa: E402
from prepare import ROWS_PER_CELL  # noqa: E402
from reward import final_answer  # noqa: E402
from tasks import rows  # noqa: E402

SPARFT = {"defaults": "sparft_memory", "memory": {"warmup_steps": 10}}
"""The paper's warm-up of 50 steps would be this whole run."""


def accuracy(completions: Any, answer: Sequence[str], **columns: Any) -> list[float]:
    """Score responses 1 where their final answer is the right one, else 0."""
    said = [final_answer(completion[0]["content"]) for completion in completions]
    return [float(given == wanted) for given, wanted in zip(said, answer, strict=True)]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--steps", type=int, default=50, help="optimizer steps")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    args = parser.parse_args(argv)
    # More threads than idle cores make a step ten times slower.
    torch.set_num_threads(1)
    pool = [
        {"prompt": row["prompt"], "answer": row["reward_model"]["ground_truth"]}
        for row in rows("pool", ROWS_PER_CELL["pool"], 1)
    ]
    test = rows("test", ROWS_PER_CELL["test"], 1)
    model = AutoModelForCausalLM.from_pretrained(QUICKSTART / "model", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(QUICKSTART / "model")
    before = evaluate(model, tokenizer, test)
    trainer = with_sparft(GRPOTrainer)(
        model=model,
        processing_class=tokenizer,
        reward_funcs=accuracy,
        args=GRPOConfig(
            output_dir=str(args.out),
            per_device_train_batch_size=64,
            gradient_accumulation_steps=2,
            num_generations=8,
            max_completion_length=32,
            learning_rate=2e-4,
            lr_scheduler_type="constant",
            max_steps=args.steps,
            save_steps=25,
            logging_steps=5,
            beta=0.0,
            bf16=False,
            use_cpu=True,
            gradient_checkpointing=False,
            report_to=[],
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list(pool),
        sparft=SPARFT,
    )
    began = time.perf_counter()
    trainer.train(resume_from_checkpoint=args.resume)
    seconds = time.perf_counter() - began
    after = evaluate(trainer.model, tokenizer, test)
    last = [entry for entry in trainer.state.log_history if "sparft/pass_rate" in entry][-1]
    sys.stdout.write(
        f"\n{len(test)} held-out questions | before | after {args.steps} steps\n"
        f"mean of 4 samples      | {before['mean_at_4']:.3f}  | {after['mean_at_4']:.3f}\n"
        f"greedy                 | {before['greedy']:.3f}  | {after['greedy']:.3f}\n"
        f"prompts trained on: {last['sparft/curriculum/unique_prompts']:.0f} of {len(pool)}; "
        f"training took {seconds:.0f} s\n"
    )


if __name__ == "__main__":
    main()
