"""The quickstart: prepare, reduce, evaluate, train with real verl, evaluate, report.

python recipes/quickstart/run.py --out runs/quickstart
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
from typing import Any

import numpy as np

RECIPE = Path(__file__).resolve().parent
MODEL = RECIPE / "model"
STEPS = 50
SAMPLES = 4


def say(text: str) -> None:
    """Tell the user what happens now."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def call(*command: str | Path, quiet: bool = False) -> None:
    """Run a command to its end, and leave with its exit code if it fails."""
    output = subprocess.DEVNULL if quiet else None
    done = subprocess.run([sys.executable, *map(str, command)], stdout=output)
    if done.returncode:
        sys.exit(done.returncode)


def evaluate(model: Path, out: Path, name: str) -> dict[str, Any]:
    """Score a model on the held-out rows: mean of four samples at temperature 1, and greedy."""
    result = out / f"{name}.json"
    call(
        RECIPE / "evaluate.py", model, out / "data/test.parquet", "--samples", str(SAMPLES),
        "--json", result, quiet=True,
    )  # fmt: skip
    scores: dict[str, Any] = json.loads(result.read_text())
    say(f"held out, {name} training: mean@{SAMPLES} {scores['mean_at_4']:.3f}, "
        f"greedy {scores['greedy']:.3f}")  # fmt: skip
    return scores


def train(command: Sequence[str], out: Path, steps: int, **environment: str) -> None:
    """Run verl, its output in ``train.log``, one line a step on the terminal."""
    log, metrics, shown = out / "train.log", out / "metrics.jsonl", 0
    environment = {**os.environ, "PYTHON": sys.executable, **environment}
    with log.open("w") as sink:
        process = subprocess.Popen(
            command, stdout=sink, stderr=subprocess.STDOUT, env=environment, cwd=out
        )
        say(f"verl's own output: {log}; Ray, FSDP and vLLM take a minute or more to start")
        while process.poll() is None:
            time.sleep(0.5)
            shown = show_steps(metrics, shown, steps)
    show_steps(metrics, shown, steps)
    if process.returncode:
        sys.stderr.write("".join(log.open(errors="replace").readlines()[-40:]))
        sys.exit(f"training failed with exit code {process.returncode}; all output is in {log}")


def logged(metrics: Path) -> list[dict[str, Any]]:
    """The rows written so far."""
    lines = metrics.read_text().split("\n")[:-1] if metrics.exists() else []
    return [json.loads(line) for line in lines]


def show_steps(metrics: Path, shown: int, steps: int) -> int:
    """Show the steps that were logged since the last call; return how many rows are shown now."""
    rows = logged(metrics)
    for row in rows[shown:]:
        data = row["data"]
        # Validation alone logs a row without ours.
        if "sparft/pass_rate" in data:
            say(
                f"step {row['step']:>2}/{steps}  pass rate {data['sparft/pass_rate']:.2f}  "
                f"wasted groups {data['sparft/wasted_group_share']:.2f}  "
                f"reward: outcome {data['sparft/reward/outcome']:.2f}  "
                f"exploit {data['sparft/reward/exploit']:.2f}  "
                f"explore {data['sparft/reward/explore']:.2f}  {data['timing_s/step']:.1f} s"
            )
    return len(rows)


def summarise(out: Path, before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Gather the figures of the run."""
    rows = [row["data"] for row in logged(out / "metrics.jsonl")]
    manifest = json.loads((out / "data/train.manifest.json").read_text())
    last = rows[-1]

    def over_steps(name: str) -> list[float]:
        return [row[name] for row in rows]

    step_s = float(np.median(over_steps("timing_s/step")))
    # A step that takes its picks from a batch drawn ahead has no select of its own.
    choosing = [row.get("sparft/ms/select", 0.0) + row["sparft/ms/observe"] for row in rows]
    spent_choosing = float(np.median(choosing)) / 1000
    return {
        "steps": len(rows),
        "accuracy_before": before["mean_at_4"],
        "accuracy_after": after["mean_at_4"],
        "greedy_before": before["greedy"],
        "greedy_after": after["greedy"],
        "unique_prompts": int(last["sparft/curriculum/unique_prompts"]),
        "pool_prompts": manifest["pool"],
        "wasted_group_share": float(np.mean(over_steps("sparft/wasted_group_share"))),
        "reward": {
            part: float(np.mean(over_steps(f"sparft/reward/{part}")))
            for part in ("outcome", "exploit", "explore")
        },
        "memory": {
            "success": int(last["sparft/memory/success"]),
            "failure": int(last["sparft/memory/failure"]),
        },
        "curriculum_percent_of_step": 100 * spent_choosing / step_s,
        "plugin_ms_per_step": float(np.median(over_steps("sparft/ms/plugin"))),
        "step_s_median": step_s,
    }


def lines_of(summary: dict[str, Any]) -> list[str]:
    """Return one line a figure; figures that belong together share a line."""

    def shown(value: Any) -> str:
        if isinstance(value, dict):
            return "  ".join(f"{name} {shown(part)}" for name, part in value.items())
        return f"{value:.3f}" if isinstance(value, float) else str(value)

    return [f"{name:<20} {shown(value)}" for name, value in summary.items()]


def main(argv: Sequence[str] | None = None) -> None:
    """Run all parts in order."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/quickstart"), help="made anew")
    out: Path = parser.parse_args(argv).out
    began = time.monotonic()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)

    say("\n== [1/6] prepare: reasoning-gym questions, a pool and a held-out set")
    call(RECIPE / "prepare.py", "--out", out / "data")
    say("\n== [2/6] reduce: the pool to 100 prompts in 10 arms")
    call(
        "-m", "sparft_plugin", "reduce", out / "data/pool.parquet",
        "-o", out / "data/train.parquet", "--difficulty-key", "extra_info.difficulty",
    )  # fmt: skip
    say("\n== [3/6] evaluate before")
    before = evaluate(MODEL, out, "before")
    say(f"\n== [4/6] train: verl.trainer.main_ppo ... +sparft=sparft_memory, {STEPS} steps")
    command = ["bash", str(RECIPE / "train.sh"), str(out.resolve())]
    train(command, out, STEPS, STEPS=str(STEPS))
    say("\n== [5/6] evaluate after")
    after = evaluate(out / f"checkpoints/global_step_{STEPS}/actor/huggingface", out, "after")
    say("\n== [6/6] summary")
    summary = summarise(out, before, after)
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    for line in lines_of(summary):
        say(line)
    say(f"\n{time.monotonic() - began:.0f} s in all; {out}/summary.json, {out}/metrics.jsonl\n")
    call("-m", "sparft_plugin", "report", out / "metrics.jsonl", "-o", out / "report.png")


if __name__ == "__main__":
    main()
