"""The road of `run_sparft_memory.sh` on a CPU: real questions, real verl, a tiny byte-level model.

python recipes/gsm8k/smoke_cpu.py FOLDER_WITH_TRAIN_AND_TEST_JSONL

It proves that every part runs, from jsonl to trainer steps. It shows no learning: the tiny model
solves no GSM8K question, so all outcome rewards are 0.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import prepare

RECIPE = Path(__file__).resolve().parent
QUICKSTART = RECIPE.parent / "quickstart"
sys.path.append(str(QUICKSTART))

from run import logged, say, train  # noqa: E402

BESIDE_THE_REPOSITORY = RECIPE.parents[2] / "shared" / "data" / "gsm8k"

PROMPT_TOKENS = 1100
"""The longest question with its instruction has 1,063 bytes, and a byte is a token here."""
RESPONSE_TOKENS = 16
MODEL_TOKENS = 1120

ENVIRONMENT = {
    "VERL_PLATFORM": "cpu",
    "VERL_ENGINE_DEVICE": "cuda",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "RAY_memory_monitor_refresh_ms": "0",
}


def lengthened_model(source: Path, target: Path) -> None:
    """Copy the tiny model with room for long prompts.

    Its positions are rotary, so no weight depends on their number; vLLM and transformers read the
    limit from these two files.
    """
    shutil.copytree(source, target, dirs_exist_ok=True)
    for name, key in (
        ("config.json", "max_position_embeddings"),
        ("tokenizer_config.json", "model_max_length"),
    ):
        path = target / name
        settings = json.loads(path.read_text()) | {key: MODEL_TOKENS}
        path.write_text(json.dumps(settings, indent=2) + "\n")


def overrides(steps: int) -> list[str]:
    """Return what a CPU and a tiny model need beyond the GPU recipe."""
    settings = {
        "+sparft_platform": "cpu",
        "+sparft.memory.warmup_steps": 2,  # so that the explore term shows within a few steps
        "data.train_batch_size": 8,
        "data.max_prompt_length": PROMPT_TOKENS,
        "data.max_response_length": RESPONSE_TOKENS,
        "data.val_max_samples": 32,
        "actor_rollout_ref.actor.ppo_mini_batch_size": 8,
        "actor_rollout_ref.actor.ppo_max_token_len_per_gpu": 1200,  # no flash attention here
        "actor_rollout_ref.rollout.n": 4,
        "actor_rollout_ref.rollout.max_model_len": MODEL_TOKENS,
        "actor_rollout_ref.rollout.max_num_seqs": 32,
        "actor_rollout_ref.rollout.max_num_batched_tokens": 4096,
        "reward.num_workers": 1,
        "trainer.total_training_steps": steps,
        "trainer.test_freq": steps,
        "trainer.save_freq": -1,
    }
    return [f"{key}={value}" for key, value in settings.items()]


def main(argv: Sequence[str] | None = None) -> None:
    """Prepare, train and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "data",
        nargs="?",
        type=Path,
        default=BESIDE_THE_REPOSITORY,
        help="folder with train.jsonl and test.jsonl (default: ../shared/data/gsm8k)",
    )
    parser.add_argument("--out", type=Path, default=Path("runs/gsm8k/smoke_cpu"))
    parser.add_argument(
        "--model", type=Path, default=QUICKSTART / "model", help="a byte-level Qwen2"
    )
    parser.add_argument("--steps", type=int, default=6)
    args = parser.parse_args(argv)
    out: Path = args.out.resolve()
    began = time.monotonic()

    say("\n== [1/3] prepare: GSM8K to verl's parquet")
    jsonl = ["--train", str(args.data / "train.jsonl"), "--test", str(args.data / "test.jsonl")]
    if prepare.main([*jsonl, "--out", str(out / "data"), "--overwrite"]):
        sys.exit(2)
    if not args.model.is_dir():
        sys.exit(f"{args.model} is no folder; give --model a byte-level Qwen2.")
    lengthened_model(args.model, out / "model")

    say(f"\n== [2/3] train: run_sparft_memory.sh on a CPU, {args.steps} steps")
    (out / "metrics.jsonl").unlink(missing_ok=True)
    train(
        ["bash", str(RECIPE / "run_sparft_memory.sh"), *overrides(args.steps)],
        out,
        args.steps,
        **ENVIRONMENT,
        OMP_NUM_THREADS=os.environ.get("OMP_NUM_THREADS", "2"),
        MODEL_PATH=str(out / "model"),
        DATA_DIR=str(out / "data"),
        OUT_DIR=str(out),
        SPARFT_CACHE=str(out / "cache"),
    )
    done = sum("sparft/pass_rate" in row["data"] for row in logged(out / "metrics.jsonl"))
    if done < args.steps:
        sys.exit(f"only {done} of {args.steps} steps were logged; see {out / 'train.log'}.")

    say(f"\n== [3/3] report; {time.monotonic() - began:.0f} s in all")
    report = ["report", str(out / "metrics.jsonl"), "-o", str(out / "report.png")]
    sys.exit(subprocess.run([sys.executable, "-m", "sparft_plugin", *report]).returncode)


if __name__ == "__main__":
    main()
