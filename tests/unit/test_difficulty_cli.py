"""``sparft difficulty`` as a user types it, with a coin instead of a model."""

from __future__ import annotations

import argparse
import json

import pytest

from sparft_plugin.cli import difficulty
from sparft_plugin.errors import SparftError
from tests.unit.difficulty_data import CoinModel
from tests.unit.reduction_data import row, sums, write

VERIFIER = """
def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    return float(solution_str == ground_truth)
"""


class Coin(CoinModel):
    """A coin model that is made as vLLM's generator is."""

    made: list = []

    def __init__(self, model, sampling, options):
        super().__init__(attempts=sampling.attempts, room=40)
        self.options = options
        self.made.append(self)


@pytest.fixture(autouse=True)
def made(monkeypatch):
    monkeypatch.setattr(Coin, "made", [])
    monkeypatch.setattr(difficulty, "VllmGenerator", Coin)
    return Coin.made


@pytest.fixture
def command(tmp_path):
    """Run the command on ten sums; options come after the usual ones."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "reward.py").write_text(VERIFIER)
    source = write(tmp_path / "in.parquet", sums(10))

    def run(*options, out="solved.jsonl"):
        parser = argparse.ArgumentParser()
        difficulty.add_parser(parser.add_subparsers())
        usual = {
            "-o": tmp_path / out,
            "--model": tmp_path / "model",
            "--verifier": f"{tmp_path / 'reward.py'}:compute_score",
            "--attempts": 4,
            "--batch": 3,
        }
        words = [str(word) for pair in usual.items() for word in pair]
        arguments = parser.parse_args(["difficulty", *words, str(source), *map(str, options)])
        return arguments.run(arguments)

    return run


def solved(tmp_path):
    header, *lines = (tmp_path / "solved.jsonl").read_text().splitlines()
    return json.loads(header), [json.loads(line) for line in lines]


def test_it_writes_solve_rates_and_a_summary_and_draws_its_progress_on_stderr(
    command, tmp_path, capsys
):
    assert command() == 0
    header, lines = solved(tmp_path)
    assert (header["prompts"], header["too_long"]) == (10, 0)
    assert (header["settings"]["attempts"], header["settings"]["solved_above"]) == (4, 0.5)
    assert [line["row"] for line in lines] == list(range(10))
    for line in lines:
        assert line["difficulty"] == 1.0 - line["solve_rate"]
        assert line["attempts"] == 4
    mean = sum(line["solve_rate"] for line in lines) / 10
    printed, progress = capsys.readouterr()
    assert printed.splitlines()[0] == (
        "measured 10 of 10 prompts, 0 of them in an earlier run; "
        "0 too long for the model and left out."
    )
    assert f"mean solve rate {mean:.3f}; never solved" in printed
    assert printed.endswith(f"{tmp_path / 'solved.attempts.jsonl'}\n")
    assert "10/10" in progress
    assert "prompt/s" in progress


def test_a_second_run_loads_no_model_and_writes_the_same(command, tmp_path, made, capsys):
    command()
    first = (tmp_path / "solved.jsonl").read_bytes()
    command()
    assert (tmp_path / "solved.jsonl").read_bytes() == first
    assert len(made) == 1
    assert "10 of them in an earlier run" in capsys.readouterr().out


def test_another_threshold_judges_the_logged_attempts_anew(command, tmp_path, made):
    command()
    command("--solved-above", -1)
    assert {line["solve_rate"] for line in solved(tmp_path)[1]} == {1.0}
    assert len(made) == 1


def test_other_settings_are_refused_until_overwrite_is_given(command, made):
    command()
    with pytest.raises(SparftError, match=r"made with seed 0, not 1; pass --overwrite"):
        command("--seed", 1)
    assert command("--seed", 1, "--overwrite") == 0
    assert len(made) == 2


def test_a_changed_model_verifier_or_prompt_is_another_setting(command, tmp_path):
    command()
    (tmp_path / "model" / "config.json").write_text("{ }")
    with pytest.raises(SparftError, match=r"made with model .*model@"):
        command()
    (tmp_path / "model" / "config.json").write_text("{}")
    write(tmp_path / "in.parquet", sums(11))
    with pytest.raises(SparftError, match="made with prompts "):
        command()
    write(tmp_path / "in.parquet", sums(10))
    (tmp_path / "reward.py").write_text(VERIFIER + "\n")
    with pytest.raises(SparftError, match="made with verifier "):
        command()


def test_an_interruption_keeps_what_is_done_and_says_how_to_go_on(command, capsys, monkeypatch):
    whole = Coin.generate

    def interrupted(self, requests):
        if len(self.asked) == 6:
            raise KeyboardInterrupt
        return whole(self, requests)

    monkeypatch.setattr(Coin, "generate", interrupted)
    assert command() == 130
    assert "6 of 10 prompts are in" in capsys.readouterr().err
    monkeypatch.setattr(Coin, "generate", whole)
    assert command() == 0
    assert "6 of them in an earlier run" in capsys.readouterr().out


def test_prompts_too_long_for_the_model_are_left_out_and_counted(command, tmp_path, capsys):
    write(tmp_path / "in.parquet", [*sums(2), row("1 + " * 20 + "1?", "21")])
    assert command() == 0
    header, lines = solved(tmp_path)
    assert (header["too_long"], len(lines)) == (1, 2)
    assert "1 too long for the model and left out" in capsys.readouterr().out


def test_engine_options_are_json_where_they_can_be(command, made):
    command("--engine-option", "max_model_len=64", "--engine-option", "revision=main")
    assert made[0].options == {
        "tensor_parallel_size": 1,
        "dtype": "auto",
        "max_model_len": 64,
        "revision": "main",
    }
    with pytest.raises(SparftError, match="--engine-option: 'eager' must be NAME=VALUE"):
        command("--engine-option", "eager")
    with pytest.raises(SparftError, match="has its own flag; use --dtype"):
        command("--engine-option", "dtype=half")


def test_options_that_change_no_sample_may_change_between_runs(command, made):
    command("--engine-option", "gpu_memory_utilization=0.9")
    command("--engine-option", "gpu_memory_utilization=0.5", "--batch", 5)
    assert len(made) == 1
    with pytest.raises(SparftError, match=r'made with engine .*not .*"max_model_len": 64'):
        command("--engine-option", "max_model_len=64")


def test_bad_input_is_refused_before_a_model_is_loaded(command, tmp_path, made):
    for options, message in [
        (["--attempts", 0], "attempts must be an integer >= 1, not 0"),
        (["--batch", 0], "batch must be an integer >= 1, not 0"),
        (["--model", tmp_path / "gone"], "the model folder .*gone does not exist"),
        ([tmp_path], "solved.jsonl or its log is an input, or in one"),
        (["-o", tmp_path / "solved.parquet"], "must end in .jsonl"),
        (["-o", tmp_path / "gone" / "solved.jsonl"], "the folder .*gone does not exist"),
    ]:
        with pytest.raises(SparftError, match=message):
            command(*options)
    assert made == []


def test_an_output_that_no_log_explains_is_left_alone(command, tmp_path):
    (tmp_path / "solved.jsonl").write_text("mine")
    with pytest.raises(SparftError, match="already exists; pass --overwrite"):
        command()
    assert (tmp_path / "solved.jsonl").read_text() == "mine"
