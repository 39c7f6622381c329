"""Attempting, judging, logging and going on after a kill."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.corpus import Corpus
from sparft_plugin.corpus.sources import RowsSource
from sparft_plugin.difficulty.attempts import AttemptLog
from sparft_plugin.difficulty.sampling import Sampling, prompt_seed
from sparft_plugin.difficulty.solve import read_tasks
from sparft_plugin.difficulty.sources import read_join_keys
from sparft_plugin.difficulty.verifier import Verifier
from sparft_plugin.errors import SparftError
from sparft_plugin.prompts import PromptTable
from tests.unit import difficulty_data as data
from tests.unit.difficulty_data import CoinModel, PowerCut, attempt
from tests.unit.reduction_data import row, sums


def opened(rows):
    corpus = Corpus.of_rows(rows, "sums.jsonl")
    return PromptTable.from_corpus(corpus), corpus


@pytest.fixture
def path(tmp_path):
    return tmp_path / "solved.attempts.jsonl"


def records(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()][1:]


def test_the_solve_rate_is_the_mean_accuracy_and_every_attempt_is_logged(path):
    prompts, corpus = opened(sums(10))
    tallies = attempt(prompts, corpus, path, CoinModel())
    logged = records(path)
    assert [(r["id"], r["attempt"]) for r in logged] == [
        (key, number) for key in prompts.ids for number in range(3)
    ]
    for key, place in zip(prompts.ids, range(10), strict=True):
        own = [r for r in logged if r["id"] == key]
        right = sum(r["response"] == str(2 * place) for r in own)
        assert tallies[key] == (right / 3, 2 * right / 3, 3)
        assert {r["row"] for r in own} == {place}
    assert {r["finish_reason"] for r in logged} == {"stop"}


def test_finished_prompts_are_not_generated_again(path):
    prompts, corpus = opened(sums(10))
    with pytest.raises(PowerCut):
        attempt(prompts, corpus, path, first := CoinModel(die_after=2))
    assert first.closed
    second = CoinModel()
    resumed = attempt(prompts, corpus, path, second)
    assert first.asked == [f"{i} + {i}?" for i in range(8)]
    assert second.asked == ["8 + 8?", "9 + 9?"]
    whole = path.with_name("whole.jsonl")
    assert resumed == attempt(prompts, corpus, whole, CoinModel())
    assert path.read_bytes() == whole.read_bytes()


def test_nothing_is_loaded_when_nothing_is_left(path):
    prompts, corpus = opened(sums(5))
    first = attempt(prompts, corpus, path, CoinModel())
    assert attempt(prompts, corpus, path, None) == first


@given(cut=st.integers(0, 2000), batch=st.integers(1, 12))
def test_cut_off_anywhere_a_log_ends_as_if_it_had_not_been(tmp_path_factory, cut, batch):
    prompts, corpus = opened(sums(9))
    folder = tmp_path_factory.mktemp("cut")
    whole, path = folder / "whole.jsonl", folder / "cut.jsonl"
    tallies = attempt(prompts, corpus, whole, CoinModel())
    path.write_bytes(whole.read_bytes()[:cut])
    assert attempt(prompts, corpus, path, CoinModel(), batch=batch) == tallies
    assert path.read_bytes() == whole.read_bytes()


def test_batches_stay_what_they_were_when_some_prompts_are_done():
    prompts, corpus = opened(sums(10))
    left = read_tasks(prompts, corpus, {prompts.ids[i] for i in (0, 1, 2, 3, 5)}, batch=4)
    assert [[task.row for task in tasks] for tasks in left] == [[4, 6, 7], [8, 9]]


class Counted(RowsSource):
    passes = 0

    def records(self):
        self.passes += 1
        return super().records()


def test_the_rows_are_read_in_one_pass_however_many_there_are():
    source = Counted(sums(5000), "sums.jsonl")
    corpus = Corpus([source])
    prompts = PromptTable.from_corpus(corpus)
    before = source.passes
    tasks = [task.row for tasks in read_tasks(prompts, corpus, set(), batch=128) for task in tasks]
    assert tasks == list(range(5000))
    assert read_join_keys(prompts, corpus).truths[-1] == '"9998"'
    assert source.passes - before == 2
    source._rows = sums(7)
    with pytest.raises(SparftError, match="sums.jsonl has lost its row 7 since it was read"):
        read_join_keys(prompts, corpus)


def test_what_only_some_sources_have_is_null_in_the_others():
    plain = {k: v for k, v in row("1 + 1?").items() if k != "extra_info"}
    corpus = Corpus([Counted([plain], "a"), Counted([row("2 + 2?", level=3)], "b")])
    [tasks] = read_tasks(PromptTable.from_corpus(corpus), corpus, set(), batch=4)
    assert [task.extra_info for task in tasks] == [{}, {"index": 0, "level": 3}]
    assert [task.place for task in tasks] == ["a, row 0", "b, row 0"]


def test_samples_depend_on_seed_and_prompt_only():
    seeds = {prompt_seed(seed, key) for seed in range(3) for key in ("a", "b")}
    assert len(seeds) == 6
    assert all(0 <= seed < 2**48 for seed in seeds)


def test_a_log_with_other_settings_is_refused_by_name(path):
    prompts, corpus = opened(sums(3))
    attempt(prompts, corpus, path, CoinModel())
    before = path.read_bytes()
    with pytest.raises(SparftError, match=r"made with model \"coin@1\", not \"dice@2\".*overwrite"):
        AttemptLog(path, data.settings(model="dice@2"))
    with pytest.raises(SparftError, match="made with extra null, not 1"):
        AttemptLog(path, data.settings(extra=1))
    assert path.read_bytes() == before
    with AttemptLog(path, data.settings(model="dice@2"), overwrite=True) as log:
        assert log.done == set()


def test_a_log_without_attempts_binds_nobody(path):
    AttemptLog(path, data.settings()).__exit__(None, None, None)
    with AttemptLog(path, data.settings(model="dice@2")):
        pass
    assert json.loads(path.read_text())["model"] == "dice@2"


@pytest.mark.parametrize("text", ["hello", "hello\n", '{"format": "other"}\n', "[1]\n"])
def test_a_file_that_is_no_log_is_left_alone(path, text):
    path.write_text(text)
    with pytest.raises(SparftError, match="is no log of attempts"):
        AttemptLog(path, data.settings())
    assert path.read_text() == text


@pytest.mark.parametrize(
    ("line", "reason"),
    [("{]", "no JSON"), ('{"id": "a"}', "no attempt"), ('{"id": "a", "row": 1}', "no score")],
)
def test_a_broken_line_in_the_middle_is_named(path, line, reason):
    prompts, corpus = opened(sums(2))
    attempt(prompts, corpus, path, CoinModel())
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:3], line, *lines[4:]]) + "\n")
    with pytest.raises(SparftError, match=rf"attempts.jsonl, line 4 is broken \(.*{reason}"):
        AttemptLog(path, data.settings())


def test_two_processes_do_not_write_one_log(path):
    code = (
        "import sys; from pathlib import Path\n"
        "from sparft_plugin.difficulty.attempts import AttemptLog\n"
        "from tests.unit.difficulty_data import settings\n"
        "AttemptLog(Path(sys.argv[1]), settings())"
    )
    with AttemptLog(path, data.settings()):
        other = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True
        )
    assert "another process is writing" in other.stderr


def test_a_prompt_too_long_for_the_model_is_counted_and_not_asked_again(path):
    prompts, corpus = opened([*sums(3), row("1 + 1 + 1 + 1 + 1 + 1?", "6")])
    tallies = attempt(prompts, corpus, path, CoinModel(room=10))
    assert [tallies[key].attempts for key in prompts.ids] == [3, 3, 3, 0]
    assert records(path)[-1] == {"id": prompts.ids[3], "row": 3, "too_long": 22}
    assert attempt(prompts, corpus, path, None).keys() == tallies.keys()


def test_a_verifier_that_raises_is_named_with_its_row_and_costs_nothing_before_it(path):
    def picky(data_source, solution_str, ground_truth, extra_info):
        if ground_truth == "12":
            raise KeyError("twelve")
        return 1.0

    prompts, corpus = opened(sums(10))
    with pytest.raises(
        SparftError, match=r"sums.jsonl, row 6: the verifier picky raised KeyError: 'twelve'"
    ):
        attempt(prompts, corpus, path, CoinModel(), verifier=Verifier("picky", picky))
    assert {r["row"] for r in records(path)} == {0, 1, 2, 3, 4, 5}


def test_a_verifier_that_cannot_work_fails_before_the_model_is_loaded(path):
    def unknown(data_source, **rest):
        raise NotImplementedError(f"no reward for {data_source}")

    prompts, corpus = opened(sums(3))
    with pytest.raises(SparftError, match="row 0: .*no reward for sums"):
        attempt(prompts, corpus, path, None, verifier=Verifier("unknown", unknown))


def test_a_response_that_no_file_can_hold_is_still_logged(path):
    prompts, corpus = opened(sums(1))
    model = CoinModel()
    model._answer = lambda request: [data.Response("\ud800 \u2028 漢", 1, "stop") for _ in range(3)]
    attempt(prompts, corpus, path, model)
    assert attempt(prompts, corpus, path, None)[prompts.ids[0]].attempts == 3


def test_images_are_refused_by_name(path):
    prompts, corpus = opened([{**row(), "images": [{"bytes": b"x"}]}])
    with pytest.raises(SparftError, match="sums.jsonl, row 0, key 'images': only text"):
        attempt(prompts, corpus, path, None)
    parts = row([{"type": "image", "text": None}, {"type": "text", "text": "1 + 1?"}])
    prompts, corpus = opened([parts])
    with pytest.raises(SparftError, match="key 'prompt': only text"):
        attempt(prompts, corpus, path, None)


def test_parts_of_text_become_one_string_and_nulls_are_left_out(path):
    message = {"role": "user", "content": [{"type": "text", "text": "1 + 1?"}], "name": None}
    rows = [{**row(), "prompt": [message]}]
    [tasks] = read_tasks(*opened(rows), set(), batch=4)
    assert tasks[0].messages == [{"role": "user", "content": "1 + 1?"}]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attempts": 0}, "attempts must be an integer >= 1, not 0"),
        ({"max_tokens": -1}, "max_tokens must be"),
        ({"temperature": float("nan")}, "temperature must be a number >= 0, not nan"),
        ({"top_p": 0.0}, "top_p must be in"),
        ({"temperature": 0.0}, "at temperature 0 all 8 attempts are equal"),
    ],
)
def test_sampling_out_of_range_is_refused(options, message):
    with pytest.raises(SparftError, match=message):
        Sampling(**options)
