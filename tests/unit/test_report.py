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
from sparft_plugin.report.picture import running_mean


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


def test_rows_without_our_metrics_are_left_out(tmp_path):
    rows = [row(0, val__acc=0.1), row(1, sparft__pass_rate=0.5), row(2, sparft__pass_rate=0.7)]
    steps = read_metrics(written(tmp_path, rows))
    assert [step.step for step in steps] == [1, 2]
    assert [step.values["sparft/pass_rate"] for step in steps] == [0.5, 0.7]


def test_what_older_trainers_log_among_their_times_has_its_own_names_again(tmp_path):
    (step,) = read_metrics(
        written(tmp_path, [row(1, timing_s__sparft__pass_rate=0.5, timing_s__step=2.0)])
    )
    assert step.values == {"sparft/pass_rate": 0.5, "timing_s/step": 2.0}


def test_of_a_step_that_a_resumed_run_logged_again_the_later_row_stands(tmp_path):
    first = [row(step, sparft__pass_rate=0.1 * step) for step in (1, 2, 3, 4)]
    resumed = [row(step, sparft__pass_rate=0.9) for step in (3, 4, 5)]
    steps = read_metrics(written(tmp_path, first + resumed))
    assert [step.step for step in steps] == [1, 2, 3, 4, 5]
    assert series(steps, "sparft/pass_rate") == pytest.approx([0.1, 0.2, 0.9, 0.9, 0.9])


def test_steps_come_in_order_whatever_the_order_of_rows(tmp_path):
    rows = [row(step, sparft__pass_rate=0.5) for step in (3, 1, 2)]
    assert [step.step for step in read_metrics(written(tmp_path, rows))] == [1, 2, 3]


def test_a_missing_file_is_an_error_with_the_logger_to_use(tmp_path):
    with pytest.raises(SparftError, match=r"does not exist; train with trainer.logger=.*file"):
        read_metrics(tmp_path / "metrics.jsonl")


def test_a_run_without_our_metrics_is_an_error_that_asks_for_the_name(tmp_path):
    path = written(tmp_path, [row(1, critic__score__mean=0.5)])
    with pytest.raises(SparftError, match=r"has no sparft metrics; .*\+sparft=NAME"):
        read_metrics(path)


def test_a_line_that_is_no_json_is_an_error_with_its_number(tmp_path):
    path = written(tmp_path, [row(1, sparft__pass_rate=0.5)])
    path.write_text(path.read_text() + '{"step": 2, "da')
    with pytest.raises(SparftError, match=rf"{re.escape(str(path))}, line 2 is no JSON"):
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


def test_what_others_log_need_not_be_a_number(tmp_path):
    rows = [row(1, sparft__pass_rate=0.5, val__note="good", timing_s__step=None)]
    (step,) = read_metrics(written(tmp_path, rows))
    assert step.values == {"sparft/pass_rate": 0.5}


def test_a_series_is_nan_where_a_step_lacks_the_metric():
    steps = [Step(1, {"a": 1.0}), Step(2, {}), Step(3, {"a": 3.0})]
    assert series(steps, "a").tolist() == pytest.approx([1.0, np.nan, 3.0], nan_ok=True)


def test_picks_per_arm_are_the_differences_of_the_running_numbers():
    steps = run_of([0.5] * 4, [1, 3, 3, 7], [4, 4, 6, 6])
    assert picks_per_arm(steps).tolist() == [[1, 2, 0, 4], [4, 0, 2, 0]]


def test_arms_are_in_the_order_of_their_numbers():
    names = {f"sparft/curriculum/arm_{arm}/picks": float(arm) for arm in (10, 2, 0)}
    assert picks_per_arm([Step(1, names)]).tolist() == [[0], [2], [10]]


def test_a_run_without_a_curriculum_has_no_arms():
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


def test_the_table_of_a_single_step_compares_it_with_itself():
    assert "pass rate in training    50.0% ->  50.0%" in table(run_of([0.5], [4]))


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


@pytest.mark.parametrize("arms", [[], [[4, 8, 12]], [[1, 2, 3], [3, 6, 9]]])
def test_the_picture_is_a_png(tmp_path, arms):
    path = tmp_path / "report.png"
    draw(run_of([0.2, 0.5, 0.4], *arms), path)
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = (int.from_bytes(data[i : i + 4], "big") for i in (16, 20))
    assert width == 1350
    assert height == (975 if arms else 525)


def test_the_picture_of_a_single_step_is_drawn(tmp_path):
    draw(run_of([0.5], [4]), tmp_path / "report.png")
    assert (tmp_path / "report.png").stat().st_size > 0


def test_the_running_mean_is_over_the_last_five_values_and_skips_nan():
    values = np.array([1.0, 3.0, np.nan, 5.0, 7.0, 9.0, 11.0])
    expected = [1, 2, 2, 3, 4, 6, 8]
    assert running_mean(values) == pytest.approx(expected)


def test_the_command_prints_the_table_and_writes_the_picture_beside_the_metrics(tmp_path, capsys):
    rows = [{"step": step.step, "data": step.values} for step in run_of([0.2, 0.4], [4, 8])]
    path = written(tmp_path, rows)
    assert main(["report", str(path)]) == 0
    picture = tmp_path / "report.png"
    printed = capsys.readouterr().out
    assert printed == table(read_metrics(path)) + f"\npicture: {picture}\n"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_command_draws_to_the_picture_that_is_named(tmp_path):
    rows = [{"step": step.step, "data": step.values} for step in run_of([0.2, 0.4], [4, 8])]
    picture = tmp_path / "other.png"
    assert main(["report", str(written(tmp_path, rows)), "-o", str(picture)]) == 0
    assert picture.is_file()
    assert not (tmp_path / "report.png").exists()


def test_the_command_ends_with_code_two_and_one_line_when_the_file_is_missing(tmp_path, capsys):
    assert main(["report", str(tmp_path / "nope.jsonl")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"sparft: error: {tmp_path / 'nope.jsonl'} does not exist")
    assert captured.err.count("\n") == 1


def test_a_picture_that_cannot_be_written_is_one_line(tmp_path, capsys):
    rows = [{"step": step.step, "data": step.values} for step in run_of([0.2, 0.4])]
    picture = tmp_path / "no" / "report.png"
    assert main(["report", str(written(tmp_path, rows)), "-o", str(picture)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"sparft: error: {picture} cannot be written: ")
    assert error.count("\n") == 1


def test_metrics_that_are_no_text_are_named(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SparftError, match="metrics.jsonl cannot be read: 'utf-8' codec"):
        read_metrics(path)
