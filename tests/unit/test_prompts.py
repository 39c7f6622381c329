from __future__ import annotations

import hashlib
import json
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin import SparftError
from sparft_plugin.corpus import Columns, Corpus
from sparft_plugin.prompts import PromptTable, prompt_id
from tests.unit.reduction_data import row, sums, write

KEY = "extra_info.difficulty"


def table(rows, key=None):
    return PromptTable.from_rows(rows, source="rows", difficulty_key=key)


def test_id_is_blake2b_of_canonical_json():
    text = '["gsm8k",[{"content":"¿Cuánto es 1+1?","role":"user"}]]'
    expected = hashlib.blake2b(text.encode("utf-8"), digest_size=16).hexdigest()
    assert prompt_id("gsm8k", [{"role": "user", "content": "¿Cuánto es 1+1?"}]) == expected


def test_id_ignores_key_order_and_null_padding_but_not_content_source_or_turns():
    user = {"role": "user", "content": "hi"}
    name = prompt_id("a", [user])
    assert prompt_id("a", [{"content": "hi", "role": "user", "name": None}]) == name
    others = {
        prompt_id("b", [user]),
        prompt_id("a", [{"role": "user", "content": "hi "}]),
        prompt_id("a", [user, user]),
    }
    assert len(others | {name}) == 4
    parts = [{"type": "text", "text": "hi"}]
    as_list, as_array = (
        prompt_id("a", [{"role": "user", "content": content}])
        for content in (parts, np.array(parts, dtype=object))
    )
    assert as_list == as_array


questions = st.text(min_size=1, max_size=8).filter(lambda text: text.strip())


@given(st.lists(questions, min_size=1, max_size=12), st.randoms())
def test_order_and_repeats_change_neither_ids_nor_fingerprint(texts, random):
    rows = [row(text) for text in texts]
    again = rows + [rows[0]]
    random.shuffle(again)
    first, second = table(rows), table(again)
    assert set(first.ids) == set(second.ids)
    assert first.fingerprint == second.fingerprint
    assert len(first) == len(set(texts))
    assert second.duplicates == len(again) - len(set(texts))
    assert [again[r]["prompt"][0]["content"] for r in second.rows] == list(second.texts)


def test_fingerprint_is_a_digest_of_the_sum_of_the_digests_of_the_prompts():
    def blake2b(value):
        text = json.dumps(value, separators=(",", ":"))
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    for key, labels in ((None, [[], []]), ("extra_info.d", [[0.1], [0.25]])):
        got = table([row("a", "2", d=0.1), row("b", "3", d=0.25)], key)
        lines = zip(got.ids, [blake2b("2"), blake2b("3")], labels, strict=True)
        total = sum(int(blake2b(list(line)), 16) for line in lines)
        assert got.fingerprint == blake2b([str(total), 2, [key] if key else []])


def test_duplicates_keep_the_first_row_and_the_mean_label():
    rows = [row("a", {"x": 1, "y": 2}, d=0.2), row("b", d=0.9), row("a", {"y": 2, "x": 1}, d=0.6)]
    got = table(rows, "extra_info.d")
    assert got.rows.tolist() == [0, 1]
    assert got.labels["extra_info.d"].tolist() == [0.4, 0.9]
    assert got.duplicates == 1


def test_text_joins_user_messages_and_text_parts():
    parts = [
        {"type": "image"},
        {"type": "text", "text": "what "},
        {"type": "text", "text": "is it"},
    ]
    messages = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": parts},
        {"role": "assistant", "content": "a cat"},
        {"role": "user", "content": "sure?"},
    ]
    assert table([row() | {"prompt": messages}]).texts[0] == "what is it\nsure?"


def test_a_missing_label_is_unknown_where_other_sources_may_know():
    rows = [row("a", d=-1.0), row("b", d=None), row("c", d=3.0), row("b", d=2.0), row("d")]
    keys = ("extra_info.d",)
    corpus = Corpus.of_rows(rows, "rows")
    got = PromptTable.from_corpus(corpus, label_keys=keys, complete=False).labels["extra_info.d"]
    assert got[:3].tolist() == [-1.0, 2.0, 3.0]
    assert math.isnan(got[3])


def test_plain_strings_are_prompts_of_a_corpus_but_not_of_verl_files():
    rows = [row() | {"prompt": "why?"}]
    columns = Columns(template="Q: {prompt} A:")
    got = PromptTable.from_corpus(Corpus.of_rows(rows, "rows", columns))
    assert got.texts[0] == "why?"
    assert got.ids[0] == prompt_id("sums", [{"role": "user", "content": "Q: why? A:"}])
    with pytest.raises(SparftError, match="key 'prompt': must be a non-empty list.*not str"):
        table(rows)


def test_a_column_whose_name_has_a_dot_is_read_as_it_is(tmp_path):
    rows = [row("a") | {"a.b": 0.1}, row("b") | {"a.b": 0.2}]
    path = write(tmp_path / "t.parquet", rows)
    assert PromptTable.from_parquet(path, difficulty_key="a.b").labels["a.b"].tolist() == [0.1, 0.2]


BAD_VALUES = [
    ({"prompt": None}, "'prompt'", "not null"),
    ({"prompt": []}, "'prompt'", "not an empty list"),
    ({"prompt": "1 + 1?"}, "'prompt'", "not str"),
    ({"prompt": [{"content": "hi"}]}, "'prompt'", "string 'role'"),
    ({"prompt": [{"role": "user", "content": 3}]}, "'prompt'", "'content'"),
    ({"prompt": [{"role": "user", "content": [3]}]}, "'prompt'", "content part"),
    ({"prompt": [{"role": "user", "content": " \n\t"}]}, "'prompt'", "no text"),
    ({"prompt": [{"role": "system", "content": "hi"}]}, "'prompt'", "no text"),
    ({"prompt": [{"role": "user", "content": "hi", "at": {1}}]}, "'prompt'", "holds a set"),
    ({"data_source": None}, "'data_source'", "not null"),
    ({"data_source": 3}, "'data_source'", "not int"),
    ({"reward_model": None}, "'reward_model'", "not null"),
    ({"reward_model": "2"}, "'reward_model'", "not str"),
    ({"reward_model": {"style": "rule"}}, "'reward_model.ground_truth'", "is missing"),
    ({"reward_model": {"ground_truth": {1}}}, "'reward_model.ground_truth'", "holds a set"),
]


@pytest.mark.parametrize(("change", "key", "problem"), BAD_VALUES)
def test_a_bad_value_names_source_row_key_and_problem(change, key, problem):
    with pytest.raises(SparftError) as caught:
        table([row("good"), row("bad") | change])
    message = str(caught.value)
    assert message.startswith(f"rows, row 1, key {key}: ")
    assert problem in message


@pytest.mark.parametrize(
    ("label", "problem"),
    [
        (math.nan, "must be finite, not nan"),
        (math.inf, "must be finite, not inf"),
        (None, "must be a number, not null"),
        ("0.5", "must be a number, not str"),
        (True, "must be a number, not bool"),
    ],
)
def test_a_bad_label_names_source_row_key_and_problem(label, problem):
    rows = [row("a", difficulty=0.1), row("b", difficulty=0.2), row("c", difficulty=label)]
    with pytest.raises(SparftError, match=f"^rows, row 2, key '{KEY}': {problem}"):
        table(rows, KEY)


def test_a_constant_label_is_refused_and_the_mend_named_unless_there_is_one_prompt():
    for label in (0.5, 3.0):
        rows = [row("a", difficulty=label), row("b", difficulty=label)]
        with pytest.raises(SparftError, match=f"{label:g} in every row.*set difficulty_key=null"):
            table(rows, KEY)
    assert table([row(difficulty=0.5)], KEY).labels[KEY].tolist() == [0.5]


def test_one_prompt_with_two_ground_truths_names_both_rows_and_files(tmp_path):
    a = write(tmp_path / "a.parquet", [row("x"), row("y", "4")])
    b = write(tmp_path / "b.parquet", [row("z"), row("y", "5")])
    with pytest.raises(SparftError) as caught:
        PromptTable.from_parquet([a, b])
    assert f"{b}, row 1, key 'reward_model.ground_truth'" in str(caught.value)
    assert f"{a}, row 1 with another ground truth" in str(caught.value)


def test_a_missing_difficulty_column_offers_the_nearest(tmp_path):
    path = write(tmp_path / "t.parquet", sums(3))
    for read in (
        lambda key: PromptTable.from_parquet(path, difficulty_key=key),
        lambda key: table(sums(3), key),
    ):
        with pytest.raises(SparftError, match=r"no column 'difficulty'; did you mean 'extra_info"):
            read("difficulty")


@pytest.mark.parametrize("column", ["prompt", "data_source", "reward_model"])
def test_a_missing_column_is_named(tmp_path, column):
    rows = [{name: value for name, value in row().items() if name != column}]
    path = write(tmp_path / "t.parquet", rows)
    with pytest.raises(SparftError, match=f"t.parquet has no column '{column}'"):
        PromptTable.from_parquet(path)


def test_unreadable_files_are_one_sentence(tmp_path):
    text = tmp_path / "text.parquet"
    text.write_text("not parquet")
    empty = write(tmp_path / "empty.parquet", [], schema=pa.Table.from_pylist([row()]).schema)
    cases = {
        tmp_path / "none.parquet": "none.parquet does not exist",
        text: "text.parquet cannot be read as parquet",
        empty: "empty.parquet has no rows",
    }
    for path, message in cases.items():
        with pytest.raises(SparftError, match=message):
            PromptTable.from_parquet(path)
    with pytest.raises(SparftError, match="rows has no rows"):
        table([])
    with pytest.raises(SparftError, match="name at least one"):
        PromptTable.from_parquet([])
