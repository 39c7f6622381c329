"""From ``--difficulty`` on the command line to one difficulty for each prompt."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sparft_plugin.corpus import Corpus
from sparft_plugin.difficulty import SourceSpec, find_difficulties, parse_source
from sparft_plugin.difficulty.attempts import Tally
from sparft_plugin.difficulty.solved_file import read_solved, write_solved
from sparft_plugin.difficulty.sources import label_keys, read_join_keys
from sparft_plugin.errors import SparftError
from sparft_plugin.prompts import PromptTable
from tests.unit.reduction_data import row, sums

KEY = "extra_info.difficulty"


def opened(rows, *names):
    corpus = Corpus.of_rows(rows, "sums")
    return PromptTable.from_corpus(corpus, label_keys=names, complete=False), corpus


def found(specs, rows):
    specs = [parse_source(spec) for spec in specs]
    prompts, corpus = opened(rows, *label_keys(specs))
    return find_difficulties(specs, prompts, corpus)[0]


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("column:level", SourceSpec("column", "level")),
        ("column:extra_info.level@1:5", SourceSpec("column", "extra_info.level", (1.0, 5.0))),
        ("column:a@b@1:0", SourceSpec("column", "a@b", (1.0, 0.0))),
        ("column:rate@-1:1e3", SourceSpec("column", "rate", (-1.0, 1000.0))),
        ("solved:a:b@c.jsonl", SourceSpec("solved", "a:b@c.jsonl")),
        ("rollouts:runs/1", SourceSpec("rollouts", "runs/1")),
        ("none", SourceSpec("none")),
    ],
)
def test_every_form_of_a_source_is_read(text, spec):
    assert parse_source(text) == spec


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colum:level", "unknown source of difficulty 'colum'; did you mean 'column'"),
        ("extra_info.level", "has no kind; column:extra_info.level"),
        ("column:", r"must be column:NAME\[@LO:HI\]"),
        ("none:x", "must be column:NAME"),
        ("column:a@5", "scale '5' of 'column:a@5' must be LO:HI"),
        ("column:a@1:1", "two different finite numbers"),
        ("column:a@0:inf", "two different finite numbers"),
    ],
)
def test_any_other_text_is_refused(text, message):
    with pytest.raises(SparftError, match=message):
        parse_source(text)


def test_a_column_is_mapped_and_the_manifest_says_how():
    result = found([f"column:{KEY}"], sums(4))
    np.testing.assert_allclose(result.values, [0.0, 1 / 3, 2 / 3, 1.0])
    assert result.manifest["sources"] == [
        {"name": f"column:{KEY}", "known": 4, "count": 4, "lo": 0.0, "hi": 3.0}
    ]


def test_rows_without_a_label_are_left_to_the_next_source():
    rows = [row("1?", difficulty=0.2), row("2?"), row("3?", difficulty=0.8)]
    result = found([f"column:{KEY}", "none"], rows)
    assert result.values.tolist() == [0.25, 0.5, 0.75]
    assert result.source.tolist() == [0, 1, 0]


def solved_file(path, prompts, rates):
    tallies = {
        key: Tally(rate, rate, 0 if np.isnan(rate) else 4)
        for key, rate in zip(prompts.ids, rates, strict=True)
    }
    write_solved(path, prompts, tallies, {"model": "coin@1"})
    return path


def test_a_solved_file_is_read_back_and_strangers_are_counted(tmp_path):
    prompts, _ = opened(sums(4))
    path = solved_file(tmp_path / "solved.jsonl", prompts, [1.0, 0.25, np.nan, 0.0])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert (lines[0]["prompts"], lines[0]["too_long"]) == (3, 1)
    assert lines[2] == {
        "id": prompts.ids[1], "row": 1, "difficulty": 0.75, "solve_rate": 0.25, "attempts": 4,
        "mean_score": 0.25,
    }  # fmt: skip
    result = found([f"solved:{path}", "none"], sums(3)[1:])
    assert result.values.tolist() == [0.5, 0.5]
    assert result.manifest["sources"][0] == {
        "name": "solved:solved.jsonl", "known": 1, "count": 1, "strangers": 2
    }  # fmt: skip


def test_a_solved_file_that_shares_no_prompt_is_refused(tmp_path):
    path = solved_file(tmp_path / "solved.jsonl", opened(sums(2))[0], [1.0, 0.0])
    with pytest.raises(SparftError, match="knows 2 prompts and none of these 1"):
        found([f"solved:{path}"], [row("other?")])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "does not exist"),
        ("", "is no file of `sparft difficulty`"),
        ('{"id": "a", "difficulty": 1}\n', "is no file of `sparft difficulty`"),
        ('{"format": "sparft difficulty 1"}\n{"id": "a"}\n', "line 2 is broken"),
        (
            '{"format": "sparft difficulty 1"}\n{"id": "a", "difficulty": 2}\n',
            r"line 2: the difficulty 2 is not in \[0, 1\]",
        ),
    ],
)
def test_a_broken_solved_file_is_named(tmp_path, text, message):
    path = tmp_path / "solved.jsonl"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SparftError, match=message):
        read_solved(path, ["a"])


def test_rollouts_are_joined_by_the_last_user_message_and_the_ground_truth(tmp_path):
    rows = sums(3)
    rows[1]["prompt"] = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": "1 + 1?"},
    ]
    lines = [
        {"input": f"user\n{i} + {i}?\n", "gts": str(2 * i), "score": float(i == 1)}
        for i in (0, 1, 1)
    ]
    (tmp_path / "1.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = found([f"rollouts:{tmp_path}", "none"], rows)
    assert result.source.tolist() == [0, 0, 1]
    assert result.values.tolist() == [0.75, 0.25, 0.5]
    entry = result.manifest["sources"][0]
    assert entry["name"] == f"rollouts:{tmp_path.name}"
    assert (entry["joined"], entry["unmatched"]) == (3, 0)


def test_curves_come_from_the_first_source_of_rollouts(tmp_path):
    for name, score in (("a", 0.25), ("b", 1.0)):
        (tmp_path / name).mkdir()
        line = {"input": "0 + 0?", "gts": "0", "score": score}
        (tmp_path / name / "1.jsonl").write_text(json.dumps(line))
    specs = [SourceSpec("none"), *(SourceSpec("rollouts", str(tmp_path / n)) for n in "ab")]
    _, curves = find_difficulties(specs, *opened(sums(2)))
    np.testing.assert_array_equal(curves, [[0.0], [np.nan]])
    assert find_difficulties(specs[:1], *opened(sums(2)))[1] is None


def test_of_a_message_in_parts_the_longest_text_is_looked_for():
    parts = [
        {"type": "text", "text": "Look: "},
        {"type": "image"},
        {"type": "text", "text": "How many?"},
    ]
    keys = read_join_keys(*opened([row(parts, truth=3)]))
    assert (keys.texts, keys.truths) == (["How many?"], ["3"])


def test_of_a_message_in_parts_white_space_is_not_the_longest_text(tmp_path):
    rows = [row([{"type": "text", "text": "\n\n\n"}, {"type": "text", "text": "hi"}])]
    (tmp_path / "1.jsonl").write_text(json.dumps({"input": "user\nhi", "gts": "2", "score": 1.0}))
    assert found([f"rollouts:{tmp_path}"], rows).values.tolist() == [0.0]
