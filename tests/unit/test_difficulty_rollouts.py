"""Rollouts that verl logged, joined to prompts by what both have in common."""

from __future__ import annotations

import json
import random
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.difficulty.rollouts import JoinKeys, TextIndex, normalize, read_rollouts
from sparft_plugin.errors import SparftError

NAN = float("nan")


def chat(text):
    """A prompt as it is logged: chat template applied, special tokens gone."""
    return f"system\nYou are helpful.\nuser\n{text}\nassistant\n"


def line(text, score, truth=None, **more):
    return {"input": chat(text), "output": "...", "gts": truth, "score": score, **more}


def write(folder, steps):
    folder.mkdir(exist_ok=True)
    for step, lines in steps.items():
        text = "".join(json.dumps({**each, "step": step}) + "\n" for each in lines)
        (folder / f"{step}.jsonl").write_text(text, encoding="utf-8")
    return folder


def keys(*texts, truths=None):
    truths = [f'"{t}"' for t in truths] if truths else ["null"] * len(texts)
    return JoinKeys([f"id{i}" for i in range(len(texts))], list(texts), truths)


def test_solve_rates_and_curves_follow_the_steps_in_their_order(tmp_path):
    folder = write(
        tmp_path / "r",
        {
            10: [line("1 + 1?", 1.0), line("1 + 1?", 1.0)],
            9: [line("1 + 1?", 1.0), line("1 + 1?", 0.0), line("2 + 2?", 0.0)],
            2: [line("1 + 1?", 0.0)],
        },
    )
    found = read_rollouts(folder, keys("1 + 1?", "2 + 2?", "3 + 3?"))
    np.testing.assert_array_equal(found.solve_rates, [3 / 5, 0.0, NAN])
    np.testing.assert_array_equal(found.curves, [[0.0, 0.5, 1.0], [0.0, NAN, NAN], [NAN, NAN, NAN]])
    assert found.attempts.tolist() == [5, 1, 0]
    assert found.lines == {"joined": 6, "unmatched": 0, "ambiguous": 0, "other_truth": 0}


def test_accuracy_partial_or_not_is_preferred_to_the_score_above_the_threshold(tmp_path):
    scored = zip((-1.0, 3.0, 0.0, 3.0), (0.9, 0.9, True, False), strict=True)
    lines = [line("a?", score, acc=acc) for score, acc in scored]
    found = read_rollouts(write(tmp_path / "a", {1: lines[:2], 2: lines[2:]}), keys("a?"))
    assert found.solve_rates.tolist() == [2.8 / 4]
    assert found.curves.tolist() == [[0.9, 0.5]]
    folder = write(tmp_path / "b", {1: [line("a?", s) for s in (-1.0, 0.0, 0.5, 1.0)]})
    for above, rate in ((0.5, 0.25), (-0.5, 0.75)):
        assert read_rollouts(folder, keys("a?"), solved_above=above).solve_rates[0] == rate


def test_the_longest_text_wins_trimmed_and_normalized(tmp_path):
    lines = [line("11 + 1?", 1.0), line("1 + 1?", 0.0), line("caf\u00e9?", 1.0)]
    folder = write(tmp_path / "r", {1: lines})
    found = read_rollouts(folder, keys("1 + 1?", "11 + 1?", "\n cafe\u0301?  "))
    assert found.solve_rates.tolist() == [0.0, 1.0, 1.0]


def test_equal_texts_are_told_apart_by_their_ground_truth_or_not_at_all(tmp_path):
    prompts = keys("Name it.", "Name it.", "1 + 1?", truths=["a", "b", "2"])
    lines = [line("Name it.", 1.0, "b"), line("Name it.", 0.0, "c"), line("Name it.", 0.0)]
    lines += [line("11 + 1?", 0.0, "12"), line("1 + 1?", 1.0, "2")]
    found = read_rollouts(write(tmp_path / "r", {1: lines}), prompts)
    np.testing.assert_array_equal(found.solve_rates, [NAN, 1.0, 1.0])
    assert found.lines == {"joined": 2, "unmatched": 0, "ambiguous": 1, "other_truth": 2}


def test_a_prompt_id_joins_whatever_the_text(tmp_path):
    lines = [
        {"prompt_id": "id1", "score": 1.0},
        {"prompt_id": "gone", "input": chat("a?"), "score": 1.0},
    ]
    found = read_rollouts(write(tmp_path / "r", {3: lines}), keys("a?", "b?"))
    np.testing.assert_array_equal(found.solve_rates, [NAN, 1.0])
    assert found.lines["unmatched"] == 1


def test_the_name_of_the_file_is_the_step_where_no_line_says_it(tmp_path):
    for step, score in ((2, 0.0), (10, 1.0)):
        (tmp_path / f"{step}.jsonl").write_text(json.dumps(line("a?", score)) + "\n\n")
    assert read_rollouts(tmp_path, keys("a?")).curves.tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"input": "a?", "score": 1}\n{"input', r"7.jsonl, line 2 is no JSON object; remove"),
        ("[1]", "line 1 is no JSON object"),
        ('{"score": 1}', "line 1 has no text 'input'; log them with trainer.rollout_data_dir"),
        ('{"input": "a?"}', "line 1 gave the score None"),
        ('{"input": "a?", "score": NaN}', "line 1 gave the score nan; it must be finite"),
        ('{"input": "a?", "score": 1, "acc": 7}', r"line 1 gave acc 7; it must be in \[0, 1\]"),
        ('{"input": "a?", "score": 1, "step": "x"}', "line 1 has the step 'x'"),
        ('{"input": "b?", "score": 1}', "has 1 rollouts and none of these 1 prompts"),
        ("\n", "holds no rollout in 1 files"),
    ],
)
def test_a_bad_log_is_named_by_file_and_line(tmp_path, text, message):
    (tmp_path / "7.jsonl").write_text(text)
    with pytest.raises(SparftError, match=message):
        read_rollouts(tmp_path, keys("a?"))


def test_a_folder_without_rollouts_is_refused(tmp_path):
    with pytest.raises(SparftError, match=r"holds no STEP.jsonl file.*trainer.rollout_data_dir"):
        read_rollouts(tmp_path, keys("a?"))
    with pytest.raises(SparftError, match="does not exist"):
        read_rollouts(tmp_path / "gone", keys("a?"))


words = st.text(alphabet="ab ", min_size=1, max_size=40).map(normalize).filter(bool)


@given(st.lists(words, min_size=1, max_size=12, unique=True), st.text("ab ", max_size=90))
def test_the_index_finds_the_longest_of_all_texts_that_occur(texts, text):
    inside = [i for i, known in enumerate(texts) if known in text]
    longest = max((len(texts[i]) for i in inside), default=0)
    assert TextIndex(texts).longest_in(text) == [i for i in inside if len(texts[i]) == longest]


def test_ten_thousand_prompts_that_begin_and_end_alike_are_joined_in_seconds():
    rng = random.Random(0)
    head, tail = "Solve this problem step by step, please. " * 5, " Give the answer in a box." * 3
    texts = [f"{head}{i} apples and {rng.random()} pears.{tail}" for i in range(10_000)]
    start = time.process_time()
    index = TextIndex(texts)
    assert all(index.longest_in(chat(texts[i])) == [i] for i in range(0, 10_000, 10))
    assert time.process_time() - start < 5.0
