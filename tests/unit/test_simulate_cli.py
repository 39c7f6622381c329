"""``sparft simulate`` as a user types it, and the replay of a logged run."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from sparft_plugin.cli.main import main
from sparft_plugin.errors import SparftError
from sparft_plugin.simulate import Replay
from tests.unit.reduction_data import row, write

NAN = float("nan")
QUICK = ("--seeds", "2", "--steps", "6", "--batch-size", "4", "--group-size", "4")


def simulate(*options):
    return main(["simulate", *map(str, options)])


def test_it_prints_a_table_and_writes_json_text_and_a_picture_the_same_each_time(tmp_path, capsys):
    methods = ("sparft", "learnability:discount=0.9")
    options = ("--methods", *methods, "--scenario", "plain", "drift", *QUICK, "--delay", "2")
    folder, again = tmp_path / "deep" / "out", tmp_path / "again"
    assert simulate(*options, "-o", folder) == 0
    printed = capsys.readouterr().out
    assert (folder / "simulation.md").read_text() in printed
    for name in ("plain", "drift"):
        assert f"## {name}" in printed
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads((folder / "simulation.json").read_text())
    assert found["seeds"] == 2
    for scenario in found["scenarios"].values():
        assert set(scenario["methods"]) == {*methods, "uniform"}
        assert len(scenario["methods"]["sparft"]["pass_rate"]["half"]) == 7
        assert sum(scenario["methods"]["sparft"]["arm_shares"]) == pytest.approx(1)
    simulate(*options, "-o", again)
    for file in ("simulation.json", "simulation.md"):
        assert (folder / file).read_bytes() == (again / file).read_bytes()


def test_a_learner_that_is_like_a_policy_is_the_default_and_policies_are_a_family(capsys):
    simulate("--methods", "uniform", *QUICK)
    simulate("--methods", "uniform", "--scenario", "policy", *QUICK)
    titles = [line for line in capsys.readouterr().out.splitlines() if line.startswith("## ")]
    assert titles == ["## transfer", "## policy_healthy", "## policy_late", "## policy_blind"]


def test_all_methods_are_the_registered_ones_and_those_that_lack_an_option_are_named(capsys):
    assert simulate("--seeds", 1, "--steps", 2) == 0
    printed = capsys.readouterr().out
    assert "Left out: gain_rl: the curriculum 'gain_rl' needs its option 'angles'" in printed
    for name in ("learnability", "sparft", "uniform"):
        assert f"| {name} |" in printed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--methods", "learnabilty"), "unknown curriculum 'learnabilty'; did you mean 'learnab"),
        (("--scenario", "plane"), "unknown scenario 'plane'; did you mean 'plain'"),
        (("--methods", "sparft:sigm=1"), "unknown option of the curriculum 'sparft' 'sigm'; did"),
        (("--methods", "sparft", "--seeds", 0), "--seeds=0 must be at least 1"),
        (("--steps", -1), "--steps=-1 must be at least 1"),
        (("--replay", "rollouts"), "--replay needs --data"),
        (("--data", "train.parquet"), "--data goes with --replay DIR"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(options, message, capsys):
    assert simulate(*options) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("sparft: error: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_a_folder_that_cannot_be_made_and_a_lack_of_matplotlib_are_refused_before_anything_runs(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "file").write_text("")
    assert simulate("-o", tmp_path / "file" / "out") == 2
    assert "cannot be made" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert simulate("-o", tmp_path / "out") == 2
    assert "pip install 'sparft-plugin[report]'" in capsys.readouterr().err
    # The table does without.
    assert simulate("--methods", "uniform", *QUICK) == 0


def test_a_pick_is_answered_by_the_next_visit_of_its_prompt_until_the_last():
    visits = np.array([[0.0, 0.5, 1.0], [0.25, NAN, NAN], [NAN, NAN, NAN]])
    world = Replay(["b", "a", "lost"], np.array([1, 0, 2]), visits)
    # Sorted by id: position 0 is "a", position 1 "b".
    assert (len(world.pool), world.left_out) == (2, 1)
    assert world.pool.arms.tolist() == [0, 1]
    both = np.array([0, 1])
    seen = []
    for _ in range(4):
        seen.append(world.pass_rates(both).tolist())
        world.train(both, np.zeros((2, 4)))
    assert seen == [[0.25, 0.0], [0.25, 0.5], [0.25, 1.0], [0.25, 1.0]]
    assert world.target_pass_rate() == pytest.approx(0.625)
    # A prompt that fills a batch moves by one visit.
    world = Replay(["a"], np.array([0]), np.array([[0.0, 0.5, 1.0]]))
    world.train(np.array([0, 0, 0]), np.zeros((3, 4)))
    assert world.target_pass_rate() == 0.5


def test_a_log_without_these_prompts_is_refused():
    with pytest.raises(SparftError, match="holds no rollouts"):
        Replay(["a"], np.array([0]), np.array([[NAN]]))


def logged(folder):
    """Six sums in two arms and three logged steps: arm 0 is learned, arm 1 never passes."""
    rows = [
        row(f"{i} + {i}?", str(2 * i), sparft={"id": "x", "arm": i % 2, "difficulty": 0.5})
        for i in range(6)
    ]
    data = write(folder / "train.parquet", rows)
    log = folder / "rollouts"
    log.mkdir()
    for step in range(3):
        lines = [
            {"input": f"user\n{i} + {i}?\n", "gts": str(2 * i), "score": score, "step": step}
            for i in range(5)
            for score in ([1.0] * (step + 1) + [0.0] * (3 - step) if i % 2 == 0 else [0.0] * 4)
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (log / f"{step}.jsonl").write_text(text)
    return data, log


def test_a_logged_run_is_replayed_from_its_data_and_rollouts(tmp_path, capsys):
    data, log = logged(tmp_path)
    options = ("--replay", log, "--data", data, "--methods", "sparft", *QUICK, "-o", tmp_path)
    assert simulate(*options) == 0
    assert "5 of 6 prompts" in capsys.readouterr().out
    found = json.loads((tmp_path / "simulation.json").read_text())["scenarios"]["replay"]
    curve = found["methods"]["uniform"]["pass_rate"]["mean"]
    # Three of five prompts go from 1/4 to 3/4.
    assert (curve[0], curve[-1]) == (pytest.approx(3 / 5 / 4), pytest.approx(3 / 5 * 3 / 4))


def test_data_without_arms_is_refused_with_its_column(tmp_path, capsys):
    _, log = logged(tmp_path)
    data = write(tmp_path / "plain.parquet", [row("0 + 0?", "0")])
    assert simulate("--replay", log, "--data", data) == 2
    assert "extra_info.sparft.arm" in capsys.readouterr().err
