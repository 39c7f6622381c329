"""Columns that are not verl's become verl's, and whole rows come back as they were."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin import SparftError
from sparft_plugin.corpus import Columns, Corpus
from sparft_plugin.prompts import PromptTable, prompt_id
from tests.unit.reduction_data import row, write

QA = {"prompt": "question", "answer": "answer"}


def user(text):
    return [{"role": "user", "content": text}]


def rows_of(corpus, *numbers):
    return corpus.take(np.array(numbers)).to_pylist()


def test_mapped_columns_become_verls_and_the_old_ones_stay():
    rows = [{"question": "why?", "answer": 42, "origin": "book", "level": 3}]
    columns = Columns(mapping=QA | {"data_source": "origin"})
    corpus = Corpus.of_rows(rows, "rows", columns)
    (scanned,) = corpus.scan(["level"])
    assert scanned.prompt == user("why?")
    assert scanned.reward_model == {"ground_truth": 42}
    assert (scanned.data_source, scanned.text, list(scanned.labels)) == ("book", "why?", [3])
    assert rows_of(corpus, 0) == [
        {
            **rows[0],
            "prompt": user("why?"),
            "reward_model": {"style": "rule", "ground_truth": 42},
            "data_source": "book",
        }
    ]


def test_fields_of_nested_columns_may_be_mapped(tmp_path):
    rows = [{"item": {"q": "why?", "a": "42", "from": "book"}, "n": 1}]
    mapping = {"prompt": "item.q", "answer": "item.a", "data_source": "item.from"}
    for corpus in (
        Corpus.of_rows(rows, "rows", Columns(mapping=mapping)),
        Corpus.open([write(tmp_path / "t.parquet", rows)], Columns(mapping=mapping)),
    ):
        (taken,) = rows_of(corpus, 0)
        assert taken["prompt"] == user("why?")
        assert taken["reward_model"] == {"style": "rule", "ground_truth": "42"}
        assert taken["data_source"] == "book"
        assert taken["item"] == rows[0]["item"]


def test_chat_messages_under_another_name_become_the_prompt_as_they_are():
    rows = [{"chat": user("why?"), "answer": "42"}]
    mapping = {"prompt": "chat", "answer": "answer"}
    corpus = Corpus.of_rows(rows, "rows", Columns(mapping=mapping, data_source="book"))
    assert [r.text for r in corpus.scan()] == [None]
    (taken,) = rows_of(corpus, 0)
    assert taken["prompt"] == taken["chat"] == user("why?")


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]
)
def test_strings_of_every_arrow_type_become_messages(tmp_path, kind):
    table = pa.table({"question": pa.array(["a", "b", "a"]).cast(kind), "answer": ["1", "2", "1"]})
    pq.write_table(table, tmp_path / "t.parquet")
    corpus = Corpus.open([tmp_path / "t.parquet"], Columns(mapping=QA, data_source="s"))
    prompts = PromptTable.from_corpus(corpus)
    taken = rows_of(corpus, *prompts.rows)
    assert [r["prompt"] for r in taken] == [user("a"), user("b")]
    assert [prompt_id("s", r["prompt"]) for r in taken] == list(prompts.ids)


@given(st.text(st.sampled_from("{}%$\\prompt é"), max_size=12))
def test_the_template_takes_any_text_as_it_is(text):
    rows = [{"question": text + ".", "answer": "1"}]
    columns = Columns(mapping=QA, template="Q: {prompt} {json} {0} {prompt}", data_source="s")
    corpus = Corpus.of_rows(rows, "rows", columns)
    expected = f"Q: {text}. {{json}} {{0}} {text}."
    (taken,) = rows_of(corpus, 0)
    (scanned,) = corpus.scan()
    assert taken["prompt"] == scanned.prompt == user(expected)
    assert scanned.text == text + "."


def test_a_plain_string_replaces_its_own_column():
    rows = [{"id": 1, "prompt": "why?", "reward_model": {"ground_truth": "1"}, "data_source": "s"}]
    (taken,) = rows_of(Corpus.of_rows(rows, "rows"), 0)
    assert taken == rows[0] | {"prompt": user("why?")}


@pytest.mark.parametrize(
    ("columns", "column", "option", "mend"),
    [
        (Columns(mapping=QA), "prompt", "--map prompt=question", "rename one of the two."),
        (
            Columns(data_source="s"),
            "data_source",
            "--data-source s",
            "leave the option out or rename the column.",
        ),
    ],
)
def test_a_column_that_would_be_lost_is_refused(columns, column, option, mend):
    rows = [row("a") | {"question": "a", "answer": "1"}]
    corpus = Corpus.of_rows(rows, "rows", columns)
    assert len(list(corpus.scan())) == 1
    with pytest.raises(SparftError) as caught:
        corpus.take(np.array([0]))
    assert str(caught.value) == (
        f"rows has a column '{column}' already, which {option} would replace; {mend}"
    )


def test_columns_mapped_to_their_own_name_are_no_clash():
    rows = [{"prompt": "a", "reward_model": "1", "data_source": "s"}]
    names = {"prompt": "prompt", "answer": "reward_model", "data_source": "data_source"}
    (taken,) = rows_of(Corpus.of_rows(rows, "rows", Columns(mapping=names)), 0)
    assert taken == {
        "prompt": user("a"),
        "reward_model": {"style": "rule", "ground_truth": "1"},
        "data_source": "s",
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mapping": {"promt": "q"}}, "unknown target of --map 'promt'; did you mean 'prompt'"),
        ({"template": "no place"}, r"the template 'no place' must hold \{prompt\}"),
        (
            {"mapping": {"data_source": "q"}, "data_source": "s"},
            "either --data-source or --map data_source=, not both",
        ),
    ],
)
def test_columns_that_make_no_sense_are_refused(options, message):
    with pytest.raises(SparftError, match=message):
        Columns(**options)


def test_strings_and_messages_in_one_column_have_no_common_type():
    corpus = Corpus.of_rows([row("a"), row("b") | {"prompt": "b"}], "rows")
    assert len(PromptTable.from_corpus(corpus)) == 2
    with pytest.raises(SparftError, match="rows, row 1, key 'prompt': has no one type"):
        corpus.take(np.array([0, 1]))


def test_rows_of_files_with_different_columns_come_in_the_order_asked_for(tmp_path):
    a = [row("a") | {"level": 1, "tags": [], "blob": b"\x00\xff"}, row("b") | {"level": 2}]
    b = [row("c") | {"level": 2.5, "tags": ["x"]}]
    c = [row("d") | {"picture": {"bytes": "b64", "size": [1, 2]}}, row("e")]
    files = [
        write(tmp_path / "a.parquet", a),
        write(tmp_path / "b.parquet", b),
        tmp_path / "c.jsonl",
    ]
    files[2].write_text("\n".join(map(json.dumps, c)))
    corpus = Corpus.open(files)
    every = a + b + c
    names = {name for r in every for name in r}
    order = [4, 0, 2, 3, 1]
    expected = [{name: every[i].get(name) for name in names} for i in order]
    assert rows_of(corpus, *order) == expected


@given(st.permutations(range(7)), st.integers(1, 7))
def test_any_rows_come_back_in_any_order(order, count):
    rows = [row(str(i)) for i in range(7)]
    parts = [Corpus.of_rows(part, "rows").sources[0] for part in (rows[:3], rows[3:4], rows[4:])]
    assert rows_of(Corpus(parts), *order[:count]) == [rows[i] for i in order[:count]]


def test_columns_of_two_files_that_cannot_be_joined_are_named(tmp_path):
    a = write(tmp_path / "a.parquet", [row("a") | {"level": 1}])
    b = write(tmp_path / "b.parquet", [row("b") | {"level": "hard"}])
    with pytest.raises(SparftError, match=r"columns of .*b\.parquet cannot .*level"):
        Corpus.open([a, b]).take(np.array([0, 1]))


def test_notes_of_a_schema_stay_but_those_of_pandas_go(tmp_path):
    table = pa.Table.from_pylist([row("a")]).replace_schema_metadata({"who": "me", "pandas": "{}"})
    pq.write_table(table, tmp_path / "t.parquet")
    taken = Corpus.open([tmp_path / "t.parquet"]).take(np.array([0]))
    assert taken.schema.metadata == {b"who": b"me"}
