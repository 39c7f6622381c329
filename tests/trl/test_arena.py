"""The arena's smoke suite: five short runs on TRL, made once, resumed and read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ARENA = Path(__file__).resolve().parents[2] / "recipes" / "arena"
sys.path.insert(0, str(ARENA))


def run(rows: Path, *options: str) -> str:
    command = [sys.executable, ARENA / "run.py", "--suite", "smoke", "--rows", rows, *options]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("arena") / "rows.jsonl"
    run(path)
    return path


def rows(path: Path) -> dict[str, dict]:
    return {row["arm"]: row for row in map(json.loads, path.read_text().splitlines())}


def test_every_arm_has_a_row_of_the_same_budget_from_the_same_start(made):
    found = rows(made)
    assert set(found) == {"uniform", "refill", "oracle", "sec", "random_50"}
    assert {row["rollouts"] for row in found.values()} == {512}
    assert len({tuple(row["curve"][0]) for row in found.values()}) == 1
    assert sum(found["uniform"]["picks"].values()) == 512 / 8


def test_what_refill_drops_is_counted_so_that_it_makes_fewer_updates(made):
    found = rows(made)
    assert found["uniform"]["updates"] == 4
    assert found["refill"]["updates"] < 4


def test_a_killed_suite_makes_only_the_missing_row_and_makes_it_the_same(made):
    lines = made.read_text().splitlines(keepends=True)
    gone = json.loads(lines[0])
    made.write_text("".join(lines[1:]) + lines[0][:40])
    assert "1 runs to make" in run(made)
    again = rows(made)[gone["arm"]]
    clocks = {"seconds", "cpu_seconds"}
    assert {k: again[k] for k in again.keys() - clocks} == {
        k: gone[k] for k in gone.keys() - clocks
    }
    assert "0 runs to make" in run(made)


def test_decide_takes_the_controls_and_the_arms_that_a_whole_screen_leaves():
    from suites import ALWAYS, suite

    area = {"oracle": 0.6, "sec": 0.52, "dads": 0.4}
    made = [
        {
            "suite": name, "pool": run.pool, "arm": run.arm, "seed": run.seed, "end": 0.5,
            "area": area.get(run.arm, 0.5) * (1 + run.seed / 1e4),
            "curve": [(0, 0.1), (7680, 0.5)], "silent": 0.5, "cpu_seconds": 9.0, "known": None,
            "probes": 0, "settings": {"budget": 7680},
        }
        for name in ("headroom", "screen")
        for run in suite(name, []).runs()
    ]  # fmt: skip
    with pytest.raises(ValueError, match="the screen, which has 1199 of 1200 rows"):
        suite("decide", made[:-1])
    chosen = suite("decide", made)
    assert {*ALWAYS, "sec"} <= set(chosen.arms)
    assert "dads" not in chosen.arms
    assert list(chosen.seeds) == list(range(101, 113))


def test_exact_pass_rates_are_what_sampling_finds():
    import policy
    import torch
    from pools import POOLS, draw

    model, tokenizer = policy.load("digits")
    prompt, right = policy.pairs_of(draw(POOLS["healthy"], 3).held_out)[-1]
    exact = float(policy.pass_rates(model, tokenizer, [(prompt, right)])[0])
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], add_generation_prompt=True, return_dict=True
    )["input_ids"]
    torch.manual_seed(0)
    said = model.generate(
        torch.tensor([asked] * 2000), do_sample=True, top_k=0, top_p=1.0, max_new_tokens=8
    )[:, len(asked) :]
    texts = tokenizer.batch_decode(said, skip_special_tokens=True)
    found = np.mean([text == right for text in texts])
    assert found == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 2000) + 1e-3)


@pytest.mark.parametrize("seed", [1, 2])
def test_no_held_out_prompt_is_in_its_pool_and_no_prompt_comes_twice(seed):
    from pools import POOLS, SIZE, draw

    for name, pool in POOLS.items():
        drawn = draw(pool, seed)
        prompts = [prompt for prompt, _ in drawn.pairs]
        assert len(set(prompts)) == SIZE, name
        assert not set(prompts) & {task.prompt for task in [*drawn.held_out, *drawn.known]}
