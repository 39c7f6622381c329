"""The suite of both hosts on verl: the same pools, arms and seeds, as rows of their own.

python recipes/arena/run.py --suite hosts      # with TRL, in its environment
python recipes/arena/on_verl.py                # with verl, in its environment; some minutes a run
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import policy
import pyarrow as pa
import pyarrow.parquet as pq
from arms import named
from pools import ON_BOTH, draw, tag
from rows import ROWS, key, read, without_torn_line
from stats import area
from suites import Run, suite

RECIPE = Path(__file__).resolve().parent
TRAIN = RECIPE.parent / "quickstart" / "train.sh"
"""The quickstart's verl command, whose paths and lengths are replaced below."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=Path, default=ROWS, help="file of rows")
    args = parser.parse_args(argv)
    without_torn_line(args.rows)
    done = {key(row) for row in read(args.rows)}
    todo = [
        run
        for run in suite("hosts", []).runs()
        if key({**run._asdict(), "suite": "verl", "settings": asdict(run.settings)}) not in done
    ]
    sys.stderr.write(f"{len(todo)} runs to make\n")
    for run in todo:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            row = train(run, Path(folder))
        with args.rows.open("a") as file:
            file.write(json.dumps({"suite": "verl", **row}) + "\n")
        minutes = (time.monotonic() - began) / 60
        sys.stderr.write(
            f"{run.pool} {run.arm} {run.seed}: area {row['area']:.3f}, {minutes:.1f} min\n"
        )


def train(run: Run, folder: Path) -> dict[str, Any]:
    """Make one run in a folder.

    Returns
    -------
    dict
        A row as `train.train` makes it, without pass@k and picks.
    """
    pool, settings = ON_BOTH[run.pool], run.settings
    model, tokenizer = policy.load(pool.world.name)
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    drawn = draw(pool, run.seed)
    rates = policy.pass_rates(model, tokenizer, drawn.pairs)
    (folder / "data").mkdir()
    rows = [_row(row) for row in tag(pool, drawn.rows, rates, run.seed)]
    for name in ("train", "test"):  # verl wants a test file, and validates nothing here
        pq.write_table(pa.Table.from_pylist(rows), folder / "data" / f"{name}.parquet")
    each = settings.groups * settings.rollouts
    began = time.monotonic()
    with (folder / "train.log").open("w") as log:
        done = subprocess.run(
            ["bash", TRAIN, folder, *overrides(run, folder)],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHON": sys.executable, "STEPS": str(settings.budget // each)},
        )
    if done.returncode:
        sys.exit((folder / "train.log").read_text()[-4000:])
    seconds = time.monotonic() - began
    held_out = policy.pairs_of(drawn.held_out)
    curve = [(0, float(policy.pass_rates(model, tokenizer, held_out).mean()))]
    for at in range(settings.every, settings.budget + 1, settings.every):
        saved = folder / "checkpoints" / f"global_step_{at // each}" / "actor" / "huggingface"
        trained = policy.load_from(saved)
        curve.append((at, float(policy.pass_rates(trained, tokenizer, held_out).mean())))
    logged = [json.loads(line)["data"] for line in (folder / "metrics.jsonl").open()]
    return {
        **run._asdict(),
        "area": area(curve, settings.budget),
        "end": round(curve[-1][1], 5),
        "curve": [(at, round(rate, 5)) for at, rate in curve],
        "rollouts": settings.budget,
        "seconds": round(seconds, 2),
        "updates": len(logged),
        "silent": round(sum(step["sparft/wasted_group_share"] for step in logged) / len(logged), 4),
        "section": named(run.arm).section,
        "settings": asdict(settings),
        "versions": {name: version(name) for name in ("sparft-plugin", "verl", "vllm", "torch")},
    }


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """A row in verl's columns."""
    return {
        "data_source": row["data_source"],
        "prompt": row["prompt"],
        "reward_model": {"style": "rule", "ground_truth": row["answer"]},
        "extra_info": row["extra_info"],
    }


def overrides(run: Run, folder: Path) -> list[str]:
    """What differs from the quickstart's command; the optimizer is TRL's default."""
    settings, length = run.settings, ON_BOTH[run.pool].world.length + 2
    each = settings.groups * settings.rollouts
    return [
        f"actor_rollout_ref.model.path={folder / 'model'}",
        f"data.max_response_length={length}",
        f"reward.custom_reward_function.path={RECIPE / 'reward.py'}",
        f"actor_rollout_ref.actor.optim.lr={settings.learning_rate}",
        "actor_rollout_ref.actor.optim.weight_decay=0.0",
        f"actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu={each}",
        f"actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu={each}",
        f"trainer.save_freq={settings.every // each}",
        "trainer.max_actor_ckpt_to_keep=null",
        "trainer.experiment_name=arena",
        "sparft.reduction=null",
        "sparft.memory=null",
        f"sparft.seed={run.seed}",
        f"sparft.curriculum.name={named(run.arm).section['curriculum']['name']}",
        f"data.seed={run.seed}",
        f"actor_rollout_ref.rollout.seed={run.seed}",
    ]


if __name__ == "__main__":
    main()
