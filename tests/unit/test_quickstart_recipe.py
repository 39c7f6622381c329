"""The quickstart's tasks, reward, demonstrations and model are what its README says."""

from __future__ import annotations

import importlib
import json
import sys
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("reasoning_gym")

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "quickstart"


def recipe_module(name):
    """Import a recipe's script under its own short name, leaving sys.path as it was."""
    sys.path.insert(0, str(RECIPE))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(RECIPE))


tasks = recipe_module("tasks")
reward = recipe_module("reward")
ways = recipe_module("ways")
run = recipe_module("run")

SPLITS = ("warm", "pool", "test")


def prompts(split, seed):
    return [row["prompt"][0]["content"] for row in tasks.rows(split, 20, seed)]


def test_rows_repeat_by_seed():
    assert tasks.rows("pool", 5, 3) == tasks.rows("pool", 5, 3)
    assert tasks.rows("pool", 5, 3) != tasks.rows("pool", 5, 4)


def test_splits_stay_apart_whatever_the_seeds_and_no_prompt_stands_twice():
    drawn = [prompt for split in SPLITS for prompt in prompts(split, 0)]
    assert len(set(drawn)) == len(drawn)
    assert not set(prompts("test", 0)) & {*prompts("pool", 7), *prompts("warm", 8)}


def test_rows_are_even_over_families_with_three_levels_or_more():
    cells = Counter(
        (row["ability"], row["extra_info"]["level"]) for row in tasks.rows("test", 4, 0)
    )
    assert set(cells.values()) == {4}
    assert len(tasks.FAMILIES) >= 5
    assert all(len(family.levels) >= 3 for family in tasks.FAMILIES.values())


def test_difficulty_runs_from_0_to_1_with_the_level():
    for row in tasks.rows("pool", 1, 0):
        levels = len(tasks.FAMILIES[row["ability"]].levels)
        assert row["extra_info"]["difficulty"] == (row["extra_info"]["level"] - 1) / (levels - 1)


def test_unknown_split_is_refused_by_name():
    with pytest.raises(ValueError, match="unknown split 'train'"):
        tasks.rows("train", 1, 0)


def test_every_cell_can_fill_the_shipped_sizes():
    prepare = recipe_module("prepare")
    assert len(tasks.rows("pool", prepare.ROWS_PER_CELL["pool"], 1)) >= 2000
    assert len(tasks.rows("test", prepare.ROWS_PER_CELL["test"], 1)) >= 200


@pytest.mark.parametrize(
    ("response", "right"),
    [
        ("legs 12+12 = 24", 1.0),
        ("= 24", 0.0),
        ("24", 0.0),
        ("", 0.0),
        ("legs 12+12=24", 0.0),
        ("legs 12+12 = 24 ", 0.0),
        ("legs 12+12 = 024", 0.0),
        ("legs 12+12 = 24.", 0.0),
        ("legs 12+12 = 2", 0.0),
        ("legs 12+12 = 23 = 24", 0.0),
        ("legs 12+12 = 24 = 23", 0.0),
        ("guess = 24\n", 0.0),
    ],
)
def test_reward_takes_the_exact_final_answer_only(response, right):
    score = reward.compute_score("reasoning_gym/leg_counting", response, "24")
    assert score == {"score": right, "acc": right}


def test_right_ways_earn_the_reward_and_fit_the_response_length():
    for family, level in tasks.CELLS:
        for task in tasks.unique_tasks("warm", family, level, 50, 0):
            response = ways.right_response(task)
            assert reward.compute_score(family, response, task.answer)["acc"] == 1.0
            assert len(response.encode()) < 32


def test_wrong_ways_are_mostly_wrong():
    for family, level in tasks.CELLS:
        drawn = tasks.unique_tasks("warm", family, level, 100, 0)
        wrong = [ways.WAYS[family][1](task) for task in drawn]
        pairs = zip(wrong, drawn, strict=True)
        assert sum(reward.final_answer(way) == task.answer for way, task in pairs) < 50


def test_demonstrations_encode_as_the_chat_template_does():
    pytest.importorskip("transformers")
    model = recipe_module("model")
    tokenizer = model.build_tokenizer()
    assert tokenizer("\n").input_ids == [10]
    ids, labels = model.encode([("Sort ascending: 2 1", "rank = 1 2")], tokenizer)
    asked = [{"role": "user", "content": "Sort ascending: 2 1"}]
    prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True)["input_ids"]
    whole = tokenizer.apply_chat_template([*asked, {"role": "assistant", "content": "rank = 1 2"}])[
        "input_ids"
    ]
    assert ids[0].tolist() == whole
    assert (labels[0] == model.IGNORED).sum() == len(prompt)


def test_shipped_model_is_small_and_says_how_it_was_made():
    folder = RECIPE / "model"
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 8 * 2**20
    record = json.loads((folder / "warm_start.json").read_text())
    assert 100_000 <= record["parameters"] <= 1_000_000
    rates = [cell["mean_at_4"] for cell in record["pass_rate"]["per_cell"].values()]
    assert len(rates) == len(tasks.CELLS)
    assert min(rates) > 0.05


def row(step, outcome, exploit, explore):
    return {
        "step": step,
        "data": {
            "sparft/pass_rate": 0.5,
            "sparft/wasted_group_share": 0.25,
            "sparft/reward/outcome": outcome,
            "sparft/reward/exploit": exploit,
            "sparft/reward/explore": explore,
            "sparft/curriculum/unique_prompts": 7.0,
            "sparft/memory/success": 3.0,
            "sparft/memory/failure": 4.0,
            "sparft/ms/select": 1.0,
            "sparft/ms/observe": 3.0,
            "sparft/ms/plugin": 5.0,
            "timing_s/step": 2.0,
        },
    }


@pytest.fixture
def out(tmp_path):
    """Folder of a run of two steps."""
    rows = [row(1, 0.2, 0.0, 0.0), row(2, 0.4, 0.5, 0.25)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in rows))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.manifest.json").write_text(json.dumps({"pool": 30}))
    return tmp_path


def test_summary_and_steps_tell_outcome_exploit_and_explore_apart(out, capsys):
    scores = {"mean_at_4": 0.1, "greedy": 0.2}
    summary = run.summarise(out, scores, scores)
    assert summary["reward"] == pytest.approx({"outcome": 0.3, "exploit": 0.25, "explore": 0.125})
    lines = run.lines_of(summary)
    assert "reward               outcome 0.300  exploit 0.250  explore 0.125" in lines
    assert "steps                2" in lines
    # Choosing is select and observe.
    assert summary["curriculum_percent_of_step"] == pytest.approx(100 * 0.004 / 2.0)
    assert run.show_steps(out / "metrics.jsonl", 1, 50) == 2
    (line,) = capsys.readouterr().out.splitlines()
    assert "reward: outcome 0.40  exploit 0.50  explore 0.25" in line
