"""JSON as rows: what is broken is named, and types and order do not depend on what is taken."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin import SparftError
from sparft_plugin.corpus import Corpus, open_sources, sources
from sparft_plugin.corpus.sources import RowsSource
from tests.unit.reduction_data import row

characters = st.characters(exclude_categories=["Cs"])
texts = st.text(st.one_of(st.sampled_from('[]{},:"\\ \n\t0-e.\u2028'), characters), max_size=9)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)
records = st.lists(st.dictionaries(texts, values, max_size=3), max_size=5)


def read(path):
    (source,) = open_sources([path])
    return list(source.records())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("json")


@given(records, st.sampled_from(["", "\ufeff"]), st.text("\n \t", max_size=5))
def test_an_array_is_read_with_or_without_a_mark_and_space_around_it(folder, rows, mark, space):
    path = folder / "array.json"
    path.write_text(mark + space + json.dumps(rows, indent=2) + space, encoding="utf-8")
    assert read(path) == rows


@given(records, st.booleans(), st.sampled_from(["\n", "\r\n", "\n\n \n"]), st.booleans())
def test_lines_are_read_with_or_without_a_mark_blank_lines_and_a_last_line_end(
    folder, rows, ascii_only, end, ended
):
    path = folder / "lines.jsonl"
    content = end.join(json.dumps(r, ensure_ascii=ascii_only) for r in rows) + end * ended
    path.write_bytes(b"\xef\xbb\xbf" + content.encode())
    assert read(path) == rows


BROKEN = [
    ('{"a": 1}\n{"a": \n{"a": 3}', "row 1 is no JSON object (Expecting value); mend"),
    ('{"a": 1}\n\n{"a": 2} {"a": 3}', "row 1 is no JSON object (Extra data); mend"),
    ('{"a": 1}\n[2]', "row 1 is no JSON object (it is a list); mend"),
    ('"a"', "row 0 is no JSON object (it is a str); mend"),
    ('[{"a": 1}, 2]', "row 1 is no JSON object (it is a int); mend"),
    ('[{"a": 1}, null]', "row 1 is no JSON object (it is a NoneType); mend"),
    ('[{"a": 1}\n {"a": 2}]', "as a JSON array: Expecting ',' delimiter: line 2 column 2"),
    ('[{"a": 1}, {"a": 2}', "as a JSON array: Expecting ',' delimiter: line 1 column 20"),
    ('[{"a": 1}]\n[{"a": 2}]', "as a JSON array: Extra data: line 2 column 1"),
    ('{"a": ' + "9" * 5000 + "}", "row 0 is no JSON object (Exceeds the limit"),
    ("[" + "9" * 5000 + "]", "as a JSON array: Exceeds the limit"),
    ('{"a": 1}\n{"a": ' + "[" * 200_000, "row 1 is no JSON object (maximum recursion"),
    ("[" * 200_000, "as a JSON array: maximum recursion"),
]


@pytest.mark.parametrize(("content", "problem"), BROKEN)
def test_broken_json_is_named_with_file_place_and_reason(tmp_path, content, problem):
    path = tmp_path / "t.json"
    path.write_text(content)
    with pytest.raises(SparftError) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))
    assert problem in str(caught.value)


def test_a_broken_line_is_found_without_reading_the_rest_of_the_file(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a" 2}\n' + b" " * 100_000 + b"\xff")
    with pytest.raises(SparftError, match="row 1 is no JSON object"):
        read(path)


def test_text_that_is_not_utf8_is_named(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_bytes('{"a": "ä"}'.encode("latin-1"))
    with pytest.raises(SparftError, match=r"t\.jsonl cannot be read as JSON: 'utf-8' codec"):
        read(path)


@pytest.mark.parametrize("content", ["", "\n \n", "[]", "[ \n ]"])
def test_a_file_without_rows_is_named(tmp_path, content):
    path = tmp_path / "t.json"
    path.write_text(content)
    with pytest.raises(SparftError, match=r"t\.json has no rows; give at least one prompt"):
        list(Corpus.open([path]).scan())


def test_batches_hold_a_bounded_number_of_rows_and_a_missing_key_is_none(monkeypatch):
    monkeypatch.setattr(sources, "BATCH_ROWS", 2)
    rows = [{"a": 0, "b": {"c": 5}}, {"a": 1}, {"a": 2, "b": None}, {"a": 3, "b.c": 7}]
    batches = list(RowsSource(rows, "rows").batches(["b.c", "a"]))
    assert batches == [[[5, None], [0, 1]], [[None, 7], [2, 3]]]
    assert RowsSource(rows, "rows").columns() == ["a", "b", "b.c"]


def odd_and_even(count=2500):
    """Rows whose level is a number, and in one of them a word."""
    rows = [row(str(i)) | {"level": i} for i in range(count)]
    rows[2000]["level"] = "hard"
    return rows


@pytest.mark.parametrize("kept", [0, 2000])
def test_a_key_without_one_type_is_named_with_its_row_whatever_is_kept(kept):
    corpus = Corpus.of_rows(odd_and_even(), "rows")
    assert len(list(corpus.scan())) == 2500
    for read_types in (lambda: corpus.schema, lambda: corpus.take(np.array([kept]))):
        with pytest.raises(SparftError) as caught:
            read_types()
        message = str(caught.value)
        assert message.startswith("rows, row 2000, key 'level': has no one type (")
        assert message.endswith("; give the key, and all within it, one type in every row.")


UNFIT = {
    "a string among parts": (
        {"prompt": [{"role": "system", "content": "Look."}, {"role": "user", "content": ["?"]}]},
        "key 'prompt': has no one type (cannot mix list and non-list",
    ),
    "a number among truths": (
        {"reward_model": {"ground_truth": 2}},
        "key 'reward_model': has no one type (",
    ),
    "more than 64 bits": ({"seed": 2**64}, "key 'seed': has no one type ("),
    "half a pair": (
        {"note": ["cut \ud83d"]},
        "key 'note': holds half of a surrogate pair, which cannot be written; mend the row.",
    ),
}


@pytest.mark.parametrize("case", UNFIT)
def test_a_value_that_arrow_cannot_hold_is_named_whatever_is_kept(case):
    change, problem = UNFIT[case]
    rows = [row("a"), row("b"), row("c") | change, row("d")]
    with pytest.raises(SparftError) as caught:
        Corpus.of_rows(rows, "rows").take(np.array([0]))
    assert str(caught.value).startswith(f"rows, row 2, {problem}")


@pytest.mark.parametrize("at_once", [1, 64])
@pytest.mark.parametrize("kept", [[0], [1], [0, 2]])
def test_types_are_those_of_all_rows_whatever_is_kept(monkeypatch, kept, at_once):
    monkeypatch.setattr(sources, "_AT_ONCE", at_once)
    rows = [
        {"n": 1, "info": {"y": 1}, "tags": []},
        {"n": 0.5, "info": None, "tags": [{"b": "x"}], "late": None},
        {"info": {"x": True, "y": None}, "tags": [{"a": 1}, None], "late": "yes"},
    ]
    table = RowsSource(rows, "rows").take(kept)
    assert table.schema == pa.schema(
        [
            ("n", pa.float64()),
            ("info", pa.struct([("y", pa.int64()), ("x", pa.bool_())])),
            ("tags", pa.list_(pa.struct([("b", pa.string()), ("a", pa.int64())]))),
            ("late", pa.string()),
        ]
    )
    assert table["n"].to_pylist() == [rows[i].get("n") for i in kept]


def test_columns_and_fields_come_in_the_order_of_their_names_whatever_comes_first():
    rows = [
        row("a") | {"b": 1, "z": {"y": 1, "x": [{"q": 1}]}},
        {"a": 2, "z": {"x": [{"p": 2, "q": 2}], "y": 2}} | row("b") | {"b": 2},
        row("c") | {"b": 3, "z": None},
    ]
    tables = [Corpus.of_rows(each, "rows").take(np.arange(3)) for each in (rows, rows[::-1])]
    assert tables[0].schema == tables[1].schema
    assert tables[0].column_names == sorted({"a", "b", "z", *row()})
    assert tables[0].to_pylist() == tables[1].to_pylist()[::-1]
    first = tables[0].to_pylist()[0]["z"]
    assert list(first) == ["x", "y"]
    assert first == {"x": [{"p": None, "q": 1}], "y": 1}
