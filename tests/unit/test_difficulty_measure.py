"""Attempts and angles: measuring, logging and going on after a kill."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.corpus import Corpus
from sparft_plugin.corpus.sources import RowsSource
from sparft_plugin.difficulty.log import AngleLog, AttemptLog
from sparft_plugin.difficulty.measure import read_tasks
from sparft_plugin.difficulty.rollouts import read_join_keys
from sparft_plugin.difficulty.solve import Response, Sampling
from sparft_plugin.difficulty.verifier import Verifier
from sparft_plugin.errors import SparftError
from sparft_plugin.prompts import PromptTable
from tests.unit.difficulty_data import CoinModel, LengthModel, angles, attempt, settings
from tests.unit.reduction_data import row, sums

LONG = row("1 + 1 + 1 + 1 + 1 + 1?", "6")
BOTH = pytest.mark.parametrize(("run", "model"), [(attempt, CoinModel), (angles, LengthModel)])


def opened(rows):
    corpus = Corpus.of_rows(rows, "sums.jsonl")
    return PromptTable.from_corpus(corpus), corpus


@pytest.fixture
def path(tmp_path):
    return tmp_path / "solved.attempts.jsonl"


@pytest.fixture
def tasks_of(path):
    """Blocks of tasks that are left of a table."""

    def tasks_of(prompts, corpus, done=(), block=4):
        with AttemptLog(path, {}) as log:
            log.done = set(done)
            return list(read_tasks(prompts, corpus, log, block))

    return tasks_of


def records(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()][1:]


def test_the_solve_rate_is_the_mean_accuracy_and_every_attempt_is_logged(path):
    prompts, corpus = opened([*sums(10), LONG])
    tallies = attempt(prompts, corpus, path, CoinModel(10))
    long, *logged = sorted(records(path), key=lambda record: "too_long" not in record)
    assert long == {"id": prompts.ids[10], "row": 10, "too_long": 22}
    assert tallies[prompts.ids[10]].attempts == 0
    assert [(r["id"], r["attempt"]) for r in logged] == [
        (key, number) for key in prompts.ids[:10] for number in range(3)
    ]
    for place, key in enumerate(prompts.ids[:10]):
        own = [r for r in logged if r["id"] == key]
        right = sum(r["response"] == str(2 * place) for r in own)
        assert tallies[key] == (right / 3, 2 * right / 3, 3)
        assert {r["row"] for r in own} == {place}
    assert {r["finish_reason"] for r in logged} == {"stop"}


def test_every_angle_has_a_line_and_like_lengths_run_together(path):
    prompts, corpus = opened([*sums(9), LONG, row("whole")])
    found = angles(prompts, corpus, path, model := LengthModel(10))
    logged = records(path)
    assert path.read_text().startswith('{"format": "sparft angles 1", "model": "m@1"}\n')
    long = {"id": prompts.ids[9], "row": 9, "too_long": 22}
    assert [r for r in logged if "too_long" in r] == [long]
    assert sorted(sum(model.batches, [])) == sum(model.batches, [])
    assert [len(batch) for batch in model.batches] == [4, 4, 2]
    whole = {"id": prompts.ids[10], "row": 10, "angle": 5.5, "intra": 5.0, "inter": 0.5}
    assert {**whole, "tokens": 5} in logged
    assert found.keys() == set(prompts.ids)
    assert found[prompts.ids[10]] == 5.5
    assert found[prompts.ids[9]] != found[prompts.ids[9]]


@BOTH
def test_finished_prompts_are_not_measured_again(path, run, model):
    prompts, corpus = opened([*sums(10), LONG])
    with pytest.raises(KeyboardInterrupt):
        run(prompts, corpus, path, first := model(10, die_after=2))
    with path.open("ab") as file:
        file.write(b'{"id": "cut o')
    resumed = run(prompts, corpus, path, second := model(10))
    assert first.closed
    assert [len(batch) for batch in first.batches + second.batches] == [4, 4, 2]
    whole = path.with_name("whole.jsonl")
    assert resumed == run(prompts, corpus, whole, model(10))
    assert path.read_bytes() == whole.read_bytes()
    # Nothing is loaded when nothing is left.
    assert run(prompts, corpus, path, None) == resumed


@given(cut=st.integers(0, 2000), batch=st.integers(1, 12))
def test_cut_off_anywhere_a_log_ends_as_if_it_had_not_been(tmp_path_factory, cut, batch):
    prompts, corpus = opened(sums(9))
    folder = tmp_path_factory.mktemp("cut")
    whole, path = folder / "whole.jsonl", folder / "cut.jsonl"
    tallies = attempt(prompts, corpus, whole, CoinModel())
    text = whole.read_bytes()
    path.write_bytes(text[: text.index(b"\n") + 1 + cut] if cut else b"")
    assert attempt(prompts, corpus, path, CoinModel(), batch=batch) == tallies
    assert path.read_bytes() == text


def test_batches_stay_what_they_were_when_some_prompts_are_done(tasks_of):
    prompts, corpus = opened(sums(10))
    left = tasks_of(prompts, corpus, {prompts.ids[i] for i in (0, 1, 2, 3, 5)})
    assert [[task.row for task in tasks] for tasks in left] == [[4, 6, 7], [8, 9]]


class Counted(RowsSource):
    passes = 0

    def records(self):
        self.passes += 1
        return super().records()


def test_the_rows_are_read_in_one_pass_however_many_there_are(tasks_of):
    source = Counted(sums(1000), "sums.jsonl")
    corpus = Corpus([source])
    prompts = PromptTable.from_corpus(corpus)
    before = source.passes
    tasks = [task.row for tasks in tasks_of(prompts, corpus, block=128) for task in tasks]
    assert tasks == list(range(1000))
    assert read_join_keys(prompts, corpus).truths[-1] == '"1998"'
    assert source.passes - before == 2
    source._rows = sums(7)
    with pytest.raises(SparftError, match="sums.jsonl has lost its row 7 since it was read"):
        read_join_keys(prompts, corpus)


def test_what_only_some_sources_have_is_null_in_the_others(tasks_of):
    plain = {k: v for k, v in row("1 + 1?").items() if k != "extra_info"}
    corpus = Corpus([Counted([plain], "a"), Counted([row("2 + 2?", level=3)], "b")])
    [tasks] = tasks_of(PromptTable.from_corpus(corpus), corpus)
    assert [task.extra_info for task in tasks] == [{}, {"index": 0, "level": 3}]
    assert [task.place for task in tasks] == ["a, row 0", "b, row 0"]


def test_a_log_with_other_settings_is_refused_by_name(path):
    prompts, corpus = opened(sums(3))
    # A log without attempts binds nobody.
    with AttemptLog(path, settings(model="dice@2")):
        pass
    attempt(prompts, corpus, path, CoinModel())
    before = path.read_bytes()
    for changes, reason in (
        ({"model": "dice@2"}, r"model \"coin@1\", not \"dice@2\"; pass --overwrite"),
        ({"extra": 1}, "extra null, not 1"),
    ):
        with pytest.raises(SparftError, match=f"made with {reason}"):
            AttemptLog(path, settings(**changes))
    assert path.read_bytes() == before
    with AttemptLog(path, settings(model="dice@2"), overwrite=True) as log:
        assert log.done == set()


@pytest.mark.parametrize("text", ["hello", "hello\n", '{"format": "other"}\n', "[1]\n"])
@pytest.mark.parametrize(
    ("log", "kind"), [(AttemptLog, "log of attempts"), (AngleLog, "file of `sparft angles`")]
)
def test_a_file_that_is_no_log_is_left_alone(path, text, log, kind):
    path.write_text(text)
    with pytest.raises(SparftError, match=f"is no {kind}; pass --overwrite"):
        log(path, settings())
    assert path.read_text() == text


@pytest.mark.parametrize(
    ("run", "line", "reason"),
    [
        (attempt, "{]", "no JSON"),
        (attempt, '{"id": "a"}', "no JSON object with id and row"),
        (attempt, '{"id": "a", "row": 1}', "no score"),
        (attempt, '{"id": "a", "row": 1, "score": 1}', "has 2 of 3 attempts"),
        (angles, '{"id": "a", "row": 1}', "no angle"),
    ],
)
def test_a_broken_line_in_the_middle_is_named(path, run, line, reason):
    prompts, corpus = opened(sums(4))
    run(prompts, corpus, path, CoinModel() if run is attempt else LengthModel())
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:3], line, *lines[4:]]) + "\n")
    with pytest.raises(SparftError, match=rf"attempts.jsonl, line 4 is broken \(.*{reason}"):
        run(prompts, corpus, path, None)


def test_two_processes_do_not_write_one_log(path):
    code = (
        "import sys; from pathlib import Path\n"
        "from sparft_plugin.difficulty.log import AttemptLog\n"
        "AttemptLog(Path(sys.argv[1]), {})"
    )
    command = [sys.executable, "-c", code, str(path)]
    with AttemptLog(path, {}):
        other = subprocess.run(command, capture_output=True, text=True)
    assert "another process is writing" in other.stderr


def test_a_verifier_that_raises_is_named_with_its_row_and_costs_nothing_before_it(path):
    def picky(data_source, solution_str, ground_truth, extra_info):
        if ground_truth == "12" or data_source != "sums":
            raise KeyError("twelve")
        return 1.0

    prompts, corpus = opened(sums(10))
    message = "sums.jsonl, row 6: the verifier picky raised KeyError: 'twelve'; mend it, give an"
    with pytest.raises(SparftError, match=message):
        attempt(prompts, corpus, path, CoinModel(), verifier=Verifier("picky", picky))
    assert {r["row"] for r in records(path)} == {0, 1, 2, 3, 4, 5}
    # A source that it cannot judge is found before the model is loaded.
    other = {**row("2 + 2?"), "data_source": "other"}
    with pytest.raises(SparftError, match="row 1: .*twelve"):
        attempt(*opened([row(), other]), path.with_name("b"), None, verifier=Verifier("p", picky))


def test_a_response_that_no_file_can_hold_is_still_logged(path):
    prompts, corpus = opened(sums(1))
    model = CoinModel()
    model._answer = lambda task: [Response("\ud800 \u2028 漢", 1, "stop") for _ in range(3)]
    attempt(prompts, corpus, path, model)
    assert attempt(prompts, corpus, path, None)[prompts.ids[0]].attempts == 3


@pytest.mark.parametrize(("run", "reason"), [(attempt, "only text"), (angles, "of text only")])
@pytest.mark.parametrize(
    ("image", "key"),
    [
        ({**row(), "images": [{"bytes": b"x"}]}, "images"),
        (row([{"type": "image", "text": None}, {"type": "text", "text": "1 + 1?"}]), "prompt"),
    ],
)
def test_images_are_refused_by_their_place(path, run, reason, image, key):
    rows = [{**row("0 + 0?"), "images": None}, image]
    with pytest.raises(SparftError, match=rf"sums.jsonl, row 1, key '{key}': .*{reason}"):
        run(*opened(rows), path, None)


def test_parts_of_text_become_one_string_and_nulls_are_left_out(tasks_of):
    parts = [{"type": "text", "text": "1 + "}, {"type": "text", "text": "1?"}]
    message = {"role": "user", "content": parts, "name": None}
    [[task]] = tasks_of(*opened([{**row(), "prompt": [message]}]))
    assert task.messages == [{"role": "user", "content": "1 + 1?"}]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attempts": 0}, "attempts must be an integer >= 1, not 0"),
        ({"max_tokens": -1}, "max_tokens must be"),
        ({"temperature": float("nan")}, "temperature must be a finite number >= 0, not nan"),
        ({"top_p": 0.0}, "top_p must be a finite number > 0 and <= 1"),
        ({"temperature": 0.0}, "at temperature 0 all 8 attempts are equal"),
    ],
)
def test_sampling_out_of_range_is_refused(options, message):
    with pytest.raises(SparftError, match=message):
        Sampling(**options)


def test_samples_depend_on_seed_and_prompt_only():
    seeds = {Sampling(seed=seed).prompt_seed(key) for seed in range(3) for key in ("a", "b")}
    assert len(seeds) == 6
