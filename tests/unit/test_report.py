"""What a run's metrics file says, as steps, a table and a picture."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from sparft_plugin.cli.main import main
from sparft_plugin.errors import SparftError
from sparft_plugin.report import Step, draw, read_metrics, table
from sparft_plugin.report.metrics import picks_per_arm, series
from sparft_plugin.report.run import running_mean


def row(step, **metrics):
    """A row as verl's ``file`` logger writes it."""
    names = {name.replace("__", "/"): value for name, value in metrics.items()}
    return {"step": step, "data": names}


def written(tmp_path, rows):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run_of(pass_rates, *picks_by_arm):
    """Steps from 1 on with the running number of picks of each arm."""
    steps = []
    for i, rate in enumerate(pass_rates):
        values = {
            "sparft/pass_rate": rate,
            "sparft/wasted_group_share": 1 - rate,
            "sparft/reward/outcome": rate,
            "sparft/ms/plugin": 10.0 * (i + 1),
            "timing_s/step": 2.0,
        }
        for arm, made in enumerate(picks_by_arm):
            values[f"sparft/curriculum/arm_{arm}/picks"] = float(made[i])
            values["sparft/curriculum/unique_prompts"] = float(i + 3)
        steps.append(Step(i + 1, values))
    return steps


def read(tmp_path, *rows):
    return read_metrics(written(tmp_path, rows))


def test_rows_come_in_order_the_later_of_a_step_stands_and_those_without_ours_are_left_out(
    tmp_path,
):
    first = [row(step, sparft__pass_rate=0.1 * step) for step in (3, 1, 2, 4)]
    resumed = [row(step, sparft__pass_rate=0.9) for step in (3, 4, 5)]
    steps = read(tmp_path, row(0, val__acc=0.1), *first, *resumed)
    assert [step.step for step in steps] == [1, 2, 3, 4, 5]
    assert series(steps, "sparft/pass_rate") == pytest.approx([0.1, 0.2, 0.9, 0.9, 0.9])
    assert np.isnan(series(steps, "other")).all()


def test_what_others_log_need_be_no_number_and_older_trainers_put_ours_among_their_times(tmp_path):
    (step,) = read(tmp_path, row(1, timing_s__sparft__pass_rate=0.5, timing_s__step=2.0))
    assert step.values == {"sparft/pass_rate": 0.5, "timing_s/step": 2.0}
    (step,) = read(tmp_path, row(1, sparft__pass_rate=0.5, val__note="good", timing_s__step=None))
    assert step.values == {"sparft/pass_rate": 0.5}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"does not exist; train with trainer.logger=.*file"),
        (b"\xff\xfe", "metrics.jsonl cannot be read: 'utf-8' codec"),
        (b'{"step": 1, "data": {"critic/x": 0.5}}\n', r"has no sparft metrics; .*\+sparft=NAME"),
        (b'{"step": 1, "data": {"sparft/x": 1}}\n{"step": 2, "da', "line 2 is no JSON"),
    ],
)
def test_a_file_that_is_none_of_a_run_is_named_with_the_mend(tmp_path, content, message):
    path = tmp_path / "metrics.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SparftError, match=f"^{re.escape(str(tmp_path))}.*{message}"):
        read_metrics(path)


NO_ROWS = [
    *("[1, 2]", "3", '{"step": 2}', '{"data": {"sparft/x": 1}}'),
    *('{"step": 2, "data": [1]}', '{"step": "2", "data": {"sparft/x": 1}}'),
    '{"step": 2, "data": {"sparft/x": "high"}}',
]


@pytest.mark.parametrize("line", NO_ROWS)
def test_a_line_that_is_no_row_of_metrics_is_an_error_with_its_number(tmp_path, line):
    path = written(tmp_path, [row(1, sparft__pass_rate=0.5)])
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(SparftError, match="line 2"):
        read_metrics(path)


def test_picks_per_arm_are_the_differences_of_the_running_numbers_by_number_of_the_arm():
    steps = run_of([0.5] * 4, [1, 3, 3, 7], [4, 4, 6, 6])
    assert picks_per_arm(steps).tolist() == [[1, 2, 0, 4], [4, 0, 2, 0]]
    names = {f"sparft/curriculum/arm_{arm}/picks": float(arm) for arm in (10, 2, 0)}
    assert picks_per_arm([Step(1, names)]).tolist() == [[0], [2], [10]]
    assert picks_per_arm(run_of([0.1, 0.2, 0.3])).shape == (0, 3)


def test_the_table_counts_picks_and_compares_the_first_with_the_last_quarter():
    steps = run_of([0.1, 0.3, 0.4, 0.4, 0.4, 0.4, 0.6, 0.8], [3] * 8, [2, 3, 4, 5, 6, 7, 8, 9])
    steps[0].values["sparft/curriculum/arm_1/pass_rate"] = 0.25
    steps[7].values["sparft/curriculum/arm_1/pass_rate"] = 0.75
    steps[0].values["sparft/curriculum/arm_0/pass_rate"] = 0.5
    lines = table(steps).splitlines()
    assert lines == [
        "arm   picks   share   pass rate: first quarter -> last quarter",
        "  0       3   25.0%    50.0% ->      -",
        "  1       9   75.0%    25.0% ->  75.0%",
        "",
        "pass rate in training    20.0% ->  70.0%",
        "wasted groups            80.0% ->  30.0%",
        "reward, outcome          20.0% ->  70.0%",
        "unique prompts          10",
        "time per step           2.00 s, of which in the plugin 45 ms (medians of 8 steps)",
    ]


def test_the_table_of_a_run_with_memory_alone_has_its_rewards_and_stores_and_no_arms():
    steps = run_of([0.5, 0.5])
    for step in steps:
        step.values.update(
            {
                "sparft/reward/exploit": 0.25,
                "sparft/reward/explore": 0.125,
                "sparft/memory/success": 8.0 * step.step,
                "sparft/memory/failure": 3.0,
            }
        )
    text = table(steps)
    assert "arm" not in text
    assert "unique prompts" not in text
    assert "reward, exploit          25.0% ->  25.0%" in text
    assert "reward, explore          12.5% ->  12.5%" in text
    assert "memory, success         16" in text
    assert "memory, failure         3" in text


@pytest.mark.filterwarnings("error::RuntimeWarning", "error::UserWarning")
def test_figures_that_were_not_logged_are_left_out(tmp_path):
    names = {f"sparft/curriculum/arm_{arm}/picks": 4.0 for arm in (0, 1)}
    unique = {"sparft/curriculum/unique_prompts": 7.0}
    steps = [Step(3, names | unique), Step(4, {"sparft/curriculum/arm_0/picks": 6.0})]
    assert table(steps).splitlines()[1:] == [
        "  0       2  100.0%        - ->      -",
        "  1       0    0.0%        - ->      -",
        "",
        "unique prompts          7",
    ]
    draw(steps, tmp_path / "report.png")
    assert running_mean(np.array([np.nan, 2.0])).tolist() == pytest.approx([np.nan, 2], nan_ok=True)
    # A single step is compared with itself.
    draw(alone := run_of([0.5], [4]), tmp_path / "report.png")
    assert "pass rate in training    50.0% ->  50.0%" in table(alone)


@pytest.mark.parametrize("arms", [[], [[4, 8, 12]], [[1, 2, 3], [3, 6, 9]]])
def test_the_picture_is_a_png(tmp_path, arms):
    path = tmp_path / "report.png"
    draw(run_of([0.2, 0.5, 0.4], *arms), path)
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = (int.from_bytes(data[i : i + 4], "big") for i in (16, 20))
    assert (width, height) == (1350, 975 if arms else 525)


def test_the_running_mean_is_over_the_last_five_values_and_skips_nan():
    values = np.array([1.0, 3.0, np.nan, 5.0, 7.0, 9.0, 11.0])
    expected = [1, 2, 2, 3, 4, 6, 8]
    assert running_mean(values) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["report.png", "other.png"])
def test_the_command_prints_the_table_and_writes_the_picture(tmp_path, capsys, name):
    rows = [{"step": step.step, "data": step.values} for step in run_of([0.2, 0.4], [4, 8])]
    path, picture = written(tmp_path, rows), tmp_path / name
    option = [] if name == "report.png" else ["-o", str(picture)]
    assert main(["report", str(path), *option]) == 0
    printed = capsys.readouterr().out
    assert printed == table(read_metrics(path)) + f"\npicture: {picture}\n"
    assert [each.name for each in tmp_path.glob("*.png")] == [name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no.jsonl"], "no.jsonl does not exist"),
        (["metrics.jsonl", "-o", "no/report.png"], "no/report.png cannot be written: "),
    ],
)
def test_the_command_ends_with_code_two_and_one_line(
    tmp_path, capsys, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    written(tmp_path, [{"step": s.step, "data": s.values} for s in run_of([0.2, 0.4])])
    assert main(["report", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"sparft: error: {message}")
    assert error.count("\n") == 1
