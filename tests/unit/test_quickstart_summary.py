"""What the quickstart tells on the terminal and in its summary."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "quickstart"


def load_run() -> ModuleType:
    spec = importlib.util.spec_from_file_location("quickstart_run", RECIPE / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


run = load_run()


def row(step: int, outcome: float, exploit: float, explore: float) -> dict[str, Any]:
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
def out(tmp_path: Path) -> Path:
    """Folder of a run of two steps."""
    rows = [row(1, 0.2, 0.0, 0.0), row(2, 0.4, 0.5, 0.25)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in rows))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.manifest.json").write_text(json.dumps({"pool": 30}))
    return tmp_path


def test_the_summary_tells_outcome_exploit_and_explore_apart(out: Path) -> None:
    scores = {"mean_at_4": 0.1, "greedy": 0.2}
    summary = run.summarise(out, scores, scores)
    assert summary["reward"] == pytest.approx({"outcome": 0.3, "exploit": 0.25, "explore": 0.125})
    assert "reward               outcome 0.300  exploit 0.250  explore 0.125" in run.lines_of(
        summary
    )
    assert "steps                2" in run.lines_of(summary)


def test_every_step_tells_them_apart_on_the_terminal(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.show_steps(out / "metrics.jsonl", shown=1) == 2
    (line,) = capsys.readouterr().out.splitlines()
    assert "reward: outcome 0.40  exploit 0.50  explore 0.25" in line


def test_the_summary_tells_what_share_of_a_step_the_curriculum_takes(out: Path) -> None:
    scores = {"mean_at_4": 0.1, "greedy": 0.2}
    summary = run.summarise(out, scores, scores)
    assert summary["curriculum_percent_of_step"] == pytest.approx(100 * 0.004 / 2.0)
