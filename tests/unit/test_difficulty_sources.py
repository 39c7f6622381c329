"""From ``--difficulty`` on the command line to one difficulty for each prompt."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.corpus import Corpus
from sparft_plugin.difficulty.rollouts import read_join_keys
from sparft_plugin.difficulty.solved import Tally, read_solved, write_solved
from sparft_plugin.difficulty.sources import (
    Source,
    SourceSpec,
    combine,
    find_difficulties,
    label_keys,
    mid_rank_quantiles,
    parse_source,
    scale_labels,
)
from sparft_plugin.errors import SparftError
from sparft_plugin.prompts import PromptTable
from tests.unit.reduction_data import row, sums

KEY = "extra_info.difficulty"
NAN = float("nan")


def opened(rows, *names):
    corpus = Corpus.of_rows(rows, "sums")
    return PromptTable.from_corpus(corpus, label_keys=names, complete=False), corpus


def found(specs, rows):
    specs = [parse_source(spec) for spec in specs]
    prompts, corpus = opened(rows, *label_keys(specs))
    return find_difficulties(specs, prompts, corpus)[0]


def combined(*lists, rows=None):
    sources = [Source(f"s{i}", np.array(values)) for i, values in enumerate(lists)]
    return combine(sources, np.arange(len(lists[0])) if rows is None else np.array(rows))


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


@pytest.mark.parametrize(
    ("lists", "values", "counts"),
    [
        ([[0.9, 0.8, 0.0]], [0.9, 0.8, 0.0], [(3, 3)]),
        # A source that is never used changes nothing.
        ([[0.9, 0.8, 0.0], [0.1, NAN, 0.2]], [0.9, 0.8, 0.0], [(3, 3), (2, 0)]),
        # Quantiles of two: 1/4 and 3/4. Of four with three equal: ranks 2, 2, 2, 4.
        (
            [[0.9, NAN, 0.7, NAN], [0.2, 0.1, 0.1, 0.1]],
            [0.75, 0.375, 0.25, 0.375],
            [(2, 2), (4, 2)],
        ),
        # The source `none` is the middle beside a source of any scale.
        ([[0.99, 0.98, NAN], [0.5, 0.5, 0.5]], [0.75, 0.25, 0.5], [(2, 2), (3, 1)]),
    ],
)
def test_the_first_source_that_knows_a_prompt_wins_on_quantiles_if_there_are_more(
    lists, values, counts
):
    result = combined(*lists)
    assert result.values.tolist() == values
    assert result.source.tolist() == [0 if v == v else 1 for v in lists[0]]
    entries = result.manifest["sources"]
    assert [(entry["known"], entry["count"]) for entry in entries] == counts
    assert result.manifest["quantiles"] == (sum(count > 0 for _, count in counts) > 1)


def test_prompts_known_to_none_are_counted_and_the_mend_is_named():
    with pytest.raises(
        SparftError, match=r"of 2 prompts is not known, the first is row 7.*sparft diff.*'none'"
    ):
        combined([0.5, NAN, NAN], rows=[5, 7, 9])
    with pytest.raises(SparftError, match="no source of difficulty"):
        combine([], np.arange(2))


grades = st.one_of(st.integers(0, 4).map(lambda i: i / 4), st.just(NAN))


@given(st.lists(grades, max_size=30))
def test_quantiles_are_the_share_below_and_half_of_the_equal(values):
    known = [v for v in values if v == v]
    for x, quantile in zip(values, mid_rank_quantiles(np.array(values)), strict=True):
        if x == x:
            share = (sum(v < x for v in known) + sum(v == x for v in known) / 2) / len(known)
            assert quantile == pytest.approx(share, abs=1e-12)
            assert 0.0 < quantile < 1.0
        else:
            assert np.isnan(quantile)


@pytest.mark.parametrize(
    ("labels", "scale", "values", "used"),
    [
        # Labels within 0 and 1 are taken as they are, others from the least to the largest.
        ([0.25, 1.0], None, [0.25, 1.0], (0.0, 1.0)),
        ([0.3, 0.3], None, [0.3, 0.3], (0.0, 1.0)),
        ([1.0, 5.0, 2.0], None, [0.0, 1.0, 0.25], (1.0, 5.0)),
        ([-1e308, 1e308, 0.0], None, [0.0, 1.0, 0.5], (-1e308, 1e308)),
        # A pass rate runs backwards.
        ([1.0, 0.0, 0.25], (1.0, 0.0), [0.0, 1.0, 0.75], (1.0, 0.0)),
        ([1.0, 3.0], (1.0, 5.0), [0.0, 0.5], (1.0, 5.0)),
        ([1.0, NAN, 3.0], None, [0.0, NAN, 1.0], (1.0, 3.0)),
    ],
)
def test_labels_are_mapped_to_difficulty(labels, scale, values, used):
    result = scale_labels(np.array(labels), scale, "level", np.arange(len(labels)))
    np.testing.assert_array_equal(result[0], values)
    assert result[1] == used


@pytest.mark.parametrize(
    ("labels", "scale", "message"),
    [
        ([1.0, 6.0], (1.0, 5.0), "level is 6 in row 11, off the scale 1:5"),
        ([1.0, -0.5], (1.0, 0.0), "level is -0.5 in row 11, off the scale 1:0"),
        ([3.0, 3.0], None, "is 3 in every row.*column:level@LO:HI"),
        ([NAN, NAN], None, "has no label in any row"),
        ([0.0, float("inf")], None, "is infinite in row 11"),
    ],
)
def test_labels_that_cannot_be_mapped_are_refused(labels, scale, message):
    with pytest.raises(SparftError, match=message):
        scale_labels(np.array(labels), scale, "level", np.array([10, 11]))


def test_a_column_is_mapped_and_rows_without_a_label_are_left_to_the_next_source():
    rows = [row("1?", difficulty=0.2), row("2?"), row("3?", difficulty=4.2)]
    result = found([f"column:{KEY}", "none"], rows)
    assert result.values.tolist() == [0.25, 0.5, 0.75]
    assert result.source.tolist() == [0, 1, 0]
    assert json.loads(json.dumps(result.manifest)) == {
        "quantiles": True,
        "sources": [
            {"name": f"column:{KEY}", "known": 2, "count": 2, "lo": 0.2, "hi": 4.2},
            {"name": "none", "known": 3, "count": 1},
        ],
    }


def solved_file(path, prompts, rates):
    tallies = {
        key: Tally(rate, rate, 0 if np.isnan(rate) else 4)
        for key, rate in zip(prompts.ids, rates, strict=True)
    }
    write_solved(path, prompts, tallies, {"model": "coin@1"})
    return path


def test_a_solved_file_is_read_back_and_strangers_are_counted(tmp_path):
    prompts, _ = opened(sums(4))
    path = solved_file(tmp_path / "solved.jsonl", prompts, [1.0, 0.25, NAN, 0.0])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert (lines[0]["prompts"], lines[0]["too_long"]) == (3, 1)
    rate = {"difficulty": 0.75, "solve_rate": 0.25, "attempts": 4, "mean_score": 0.25}
    assert lines[2] == {"id": prompts.ids[1], "row": 1, **rate}
    result = found([f"solved:{path}", "none"], sums(3)[1:])
    assert result.values.tolist() == [0.5, 0.5]
    known = {"name": "solved:solved.jsonl", "known": 1, "count": 1, "strangers": 2}
    assert result.manifest["sources"][0] == known
    with pytest.raises(SparftError, match="knows 3 prompts and none of these 1"):
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


def test_rollouts_are_joined_by_the_last_user_message_and_curves_come_from_the_first(tmp_path):
    rows = sums(3)
    rows[1]["prompt"] = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": "1 + 1?"},
    ]
    for name, right in (("a", 1), ("b", 0)):
        (tmp_path / name).mkdir()
        lines = [
            {"input": f"user\n{i} + {i}?\n", "gts": str(2 * i), "score": float(i == right)}
            for i in (0, 1, 1)
        ]
        (tmp_path / name / "1.jsonl").write_text("\n".join(map(json.dumps, lines)))
    result = found([f"rollouts:{tmp_path / 'a'}", "none"], rows)
    assert result.source.tolist() == [0, 0, 1]
    assert result.values.tolist() == [0.75, 0.25, 0.5]
    entry = result.manifest["sources"][0]
    assert entry["name"] == "rollouts:a"
    assert (entry["joined"], entry["unmatched"]) == (3, 0)
    specs = [SourceSpec("none"), *(SourceSpec("rollouts", str(tmp_path / n)) for n in "ab")]
    _, curves = find_difficulties(specs, *opened(rows))
    np.testing.assert_array_equal(curves, [[0.0], [1.0], [NAN]])
    assert find_difficulties(specs[:1], *opened(rows))[1] is None


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([{"text": "Look: "}, {"type": "image"}, {"text": "How many?"}], "How many?"),
        ([{"text": "\n\n\n"}, {"text": "hi"}], "hi"),
    ],
)
def test_of_a_message_in_parts_the_longest_text_is_looked_for(parts, text):
    keys = read_join_keys(*opened([row(parts, truth=3)]))
    assert (keys.texts, keys.truths) == ([text], ["3"])
