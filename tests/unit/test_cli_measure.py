"""``sparft difficulty`` and ``sparft angles`` as a user types them, without a language model."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sparft_plugin.cli import measure
from sparft_plugin.cli.main import main
from sparft_plugin.curriculum.gain_rl import GainRLCurriculum
from sparft_plugin.curriculum.records import Prompt
from tests.unit.difficulty_data import CoinModel, LengthModel
from tests.unit.reduction_data import row, sums, write

BOTH = pytest.mark.parametrize("name", ["difficulty", "angles"])
VERIFIER = """
def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    return float(solution_str == ground_truth)
"""


class Made(list):
    die_after = None


@pytest.fixture
def made(monkeypatch):
    """The arguments of each model that was made, in place of vLLM's or of ``Prefill``."""
    made = Made()

    def coin(model, sampling, options):
        made.append(options)
        return CoinModel(40, made.die_after, attempts=sampling.attempts)

    def lengths(model, dtype, device):
        made.append((dtype, device))
        return LengthModel(40, made.die_after)

    monkeypatch.setattr(measure, "VllmGenerator", coin)
    monkeypatch.setattr(measure, "Prefill", lengths)
    return made


@pytest.fixture
def command(tmp_path, made, capsys):
    """Run a command on nine sums and a long one; gives the exit code and what it said."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "reward.py").write_text(VERIFIER)
    source = write(tmp_path / "in.parquet", [*sums(9), row("1 + " * 20 + "1?", "21")])
    usual = {
        "difficulty": ["--verifier", f"{tmp_path / 'reward.py'}:compute_score", "--attempts", 4],
        "angles": ["--device", "cpu"],
    }

    def run(name, *options):
        words = [name, "-o", tmp_path / "out.jsonl", "--model", tmp_path / "model", "--batch", 3]
        code = main([str(word) for word in [*words, *usual[name], source, *options]])
        return (code, *capsys.readouterr())

    return run


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_difficulty_writes_solve_rates_and_a_summary_and_draws_its_progress_on_stderr(
    command, tmp_path
):
    code, printed, progress = command("difficulty")
    assert code == 0
    header, *rates = lines(tmp_path / "out.jsonl")
    assert (header["prompts"], header["too_long"]) == (9, 1)
    assert (header["settings"]["attempts"], header["settings"]["solved_above"]) == (4, 0.5)
    assert [line["row"] for line in rates] == list(range(9))
    for line in rates:
        assert line["difficulty"] == 1.0 - line["solve_rate"]
        assert line["attempts"] == 4
    mean = sum(line["solve_rate"] for line in rates) / 9
    assert printed.splitlines()[0] == (
        "measured 9 of 10 prompts, 0 of them in an earlier run; "
        "1 too long for the model and left out."
    )
    assert f"mean solve rate {mean:.3f}; never solved" in printed
    assert printed.endswith(f"{tmp_path / 'out.attempts.jsonl'}\n")
    assert "10/10" in progress
    assert "prompt/s" in progress


def test_angles_writes_what_gain_rl_reads(command, tmp_path, made):
    code, printed, progress = command("angles", "--dtype", "float32")
    assert code == 0
    assert made == [("float32", "cpu")]
    assert printed.startswith("measured 9 of 10 prompts, 0 of them in an earlier run; 1 too long")
    assert "lowest 6.5000, median 6.5000, highest 6.5000" in printed
    assert "10/10" in progress
    write(tmp_path / "in.parquet", [row("1 + 1?"), row("10 + 10?"), row("2 + 2?")])
    command("angles", "--overwrite")
    records = lines(tmp_path / "out.jsonl")[1:]
    pool = [Prompt(record["id"], 0, 0.5) for record in records]
    curriculum = GainRLCurriculum(angles=str(tmp_path / "out.jsonl")).start(pool)
    [best] = [record["id"] for record in records if record["row"] == 1]
    assert curriculum.pool.ids[np.argmin(curriculum.rank)].decode() == best


@BOTH
def test_a_second_run_loads_no_model_and_writes_the_same(command, tmp_path, made, name):
    command(name)
    first = (tmp_path / "out.jsonl").read_bytes()
    assert "10 of them in an earlier run" in command(name)[1]
    assert (tmp_path / "out.jsonl").read_bytes() == first
    assert len(made) == 1


def test_another_threshold_judges_the_logged_attempts_anew(command, tmp_path, made):
    command("difficulty")
    command("difficulty", "--solved-above", -1)
    assert {line["solve_rate"] for line in lines(tmp_path / "out.jsonl")[1:]} == {1.0}
    assert len(made) == 1


@pytest.mark.parametrize(
    ("name", "option", "reason"),
    [("difficulty", ("--seed", 1), "seed 0, not 1"), ("angles", ("--dtype", "half"), "dtype")],
)
def test_other_settings_are_refused_until_overwrite_is_given(command, made, name, option, reason):
    command(name)
    code, _, message = command(name, *option)
    assert code == 2
    assert f"made with {reason}" in message
    assert "; pass --overwrite" in message
    assert command(name, *option, "--overwrite")[0] == 0
    assert len(made) == 2


@pytest.mark.parametrize(
    ("name", "changed"),
    [("difficulty", c) for c in ("model", "prompts", "verifier")] + [("angles", "model")],
)
def test_a_changed_model_verifier_or_prompt_is_another_setting(command, tmp_path, name, changed):
    command(name)
    if changed == "model":
        (tmp_path / "model" / "config.json").write_text("{ }")
    elif changed == "prompts":
        write(tmp_path / "in.parquet", sums(11))
    else:
        (tmp_path / "reward.py").write_text(VERIFIER + "\n")
    assert f"made with {changed} " in command(name)[2]


@pytest.mark.parametrize(("name", "done"), [("difficulty", 6), ("angles", 7)])
def test_an_interruption_keeps_what_is_done_and_says_how_to_go_on(command, made, name, done):
    made.die_after = 2
    code, _, message = command(name)
    assert code == 130
    assert f"{done} of 10 prompts are in" in message
    made.die_after = None
    code, printed, _ = command(name)
    assert code == 0
    assert f"{done} of them in an earlier run" in printed


def test_engine_options_are_json_and_those_that_change_no_sample_may_change(command, made):
    memory = "--engine-option", "gpu_memory_utilization=0.9"
    command("difficulty", *memory, "--engine-option", "revision=main")
    assert made[0] == {
        "tensor_parallel_size": 1,
        "dtype": "auto",
        "gpu_memory_utilization": 0.9,
        "revision": "main",
    }
    assert command("difficulty", "--engine-option", "revision=main", "--batch", 5)[0] == 0
    assert len(made) == 1
    for option, reason in (
        ("max_model_len=64", 'made with engine {"dtype": "auto", "revision": "main"}, not {'),
        ("eager", "--engine-option: 'eager' must be NAME=VALUE"),
        ("dtype=half", "has its own flag; use --dtype"),
    ):
        code, _, message = command("difficulty", "--engine-option", option)
        assert code == 2
        assert reason in message


@BOTH
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--batch", 0], "batch must be an integer >= 1, not 0"),
        (["--model", "./gone"], "the model folder ./gone does not exist"),
        (["HERE"], "out.jsonl or its log is an input, or in one"),
        (["-o", "HERE/a.parquet"], "must end in .jsonl"),
        (["-o", "HERE/gone/a.jsonl"], "gone does not exist"),
        (["-o", "HERE/folder.jsonl"], "folder.jsonl is a folder; choose another"),
        (["-o", "HERE/link.jsonl"], "link.jsonl is a link to gone.jsonl, which does not exist"),
    ],
)
def test_bad_input_is_refused_before_a_model_is_loaded(
    command, tmp_path, made, name, options, reason
):
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "link.jsonl").symlink_to("gone.jsonl")
    code, _, message = command(name, *(str(o).replace("HERE", str(tmp_path)) for o in options))
    assert code == 2
    assert reason in message
    assert made == []


def test_sampling_is_checked_and_an_output_that_no_log_explains_is_left_alone(command, tmp_path):
    assert "attempts must be an integer >= 1" in command("difficulty", "--attempts", 0)[2]
    (tmp_path / "out.jsonl").write_text("mine")
    assert "already exists; pass --overwrite" in command("difficulty")[2]
    assert (tmp_path / "out.jsonl").read_text() == "mine"
