"""JSON read record by record is what reading it whole gives; the row that is broken is named."""

from __future__ import annotations

import json
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin import SparftError
from sparft_plugin.corpus import Corpus, json_lines, open_sources
from sparft_plugin.corpus.json_lines import RowsSource
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
layouts = st.fixed_dictionaries(
    {
        "indent": st.sampled_from([None, 0, 2]),
        "ensure_ascii": st.booleans(),
        "separators": st.sampled_from([None, (",", ":"), (" , ", " :\t")]),
    }
)
chunks = st.integers(min_value=1, max_value=40)


def read(path, chunk=1 << 20):
    with mock.patch.object(json_lines, "_CHUNK", chunk):
        (source,) = open_sources([path])
        return list(source.records())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("json")


@given(records, layouts, chunks, st.sampled_from(["", "\ufeff"]), st.text("\n \t", max_size=50))
def test_an_array_of_any_layout_is_read_across_the_borders_of_chunks(
    folder, rows, layout, chunk, mark, space
):
    path = folder / "array.json"
    path.write_text(mark + space + json.dumps(rows, **layout) + space, encoding="utf-8")
    assert read(path, chunk) == rows


@given(records, st.booleans(), chunks, st.sampled_from(["\n", "\r\n", "\n\n \n"]), st.booleans())
def test_lines_are_read_with_or_without_a_mark_blank_lines_and_a_last_line_end(
    folder, rows, ascii_only, chunk, end, ended
):
    path = folder / "lines.jsonl"
    content = end.join(json.dumps(r, ensure_ascii=ascii_only) for r in rows) + end * ended
    path.write_bytes(b"\xef\xbb\xbf" + content.encode())
    assert read(path, chunk) == rows


@given(records, st.data(), chunks)
def test_a_damaged_array_is_refused_exactly_where_a_reader_of_the_whole_refuses_it(
    folder, rows, data, chunk
):
    whole = json.dumps(rows)
    at = data.draw(st.integers(1, len(whole) - 1))
    damage = data.draw(st.sampled_from(["", ",", "]", "}", '"', " ", "\\", "7"]))
    length = data.draw(st.integers(0, 3))
    path = folder / "damaged.json"
    path.write_text(whole[:at] + damage + whole[at + length :], encoding="utf-8")
    try:
        expected = json.loads(path.read_text(encoding="utf-8"))
        valid = all(isinstance(value, dict) for value in expected)
    except json.JSONDecodeError:
        valid = False
    if valid:
        assert read(path, chunk) == expected
    else:
        with pytest.raises(SparftError, match=r"damaged\.json, row \d+ is no JSON object \(.+\)"):
            read(path, chunk)


BROKEN = [
    ('{"a": 1}\n{"a": \n{"a": 3}', 1, "Expecting value"),
    ('{"a": 1}\n\n{"a": 2} {"a": 3}', 1, "Extra data"),
    ('{"a": 1}\n[2]', 1, "it is a list"),
    ('"a"', 0, "it is a str"),
    ('[{"a": 1}, 2]', 1, "it is a int"),
    ('[{"a": 1}, null]', 1, "it is a NoneType"),
    ('[{"a": 1} {"a": 2}]', 1, "a comma is missing"),
    ('[{"a": 1}, {"a": 2},]', 2, "Expecting value"),
    ('[{"a": 1}, {"a": 2}', 2, "no ']' at the end"),
    ('[{"a": 1}]\n[{"a": 2}]', 1, "it comes after the end"),
    ('[{"a": 1}, {"b: 2}]', 1, "Unterminated string"),
    ('{"a": ' + "9" * 5000 + "}", 0, "Exceeds the limit"),
    ('{"a": 1}\n{"a": ' + "[" * 200_000, 1, "recursion"),
]


@pytest.mark.parametrize("chunk", [3, 1 << 20])
@pytest.mark.parametrize(("content", "number", "reason"), BROKEN)
def test_broken_json_is_named_with_file_row_and_reason(tmp_path, content, number, reason, chunk):
    path = tmp_path / "t.json"
    path.write_text(content)
    with pytest.raises(SparftError) as caught:
        read(path, chunk if len(content) < 100 else 1 << 20)
    message = str(caught.value)
    assert message.startswith(f"{path}, row {number} is no JSON object (")
    assert reason in message
    assert message.endswith("; mend the file.")


def test_a_broken_row_is_found_without_reading_the_rest_of_the_file(tmp_path):
    path = tmp_path / "t.json"
    path.write_text('[{"a": 1}, {"a" 2}, ' + '{"a": 3}, ' * 5000)
    asked = []

    class Counted(json_lines._Window):
        def _more(self):
            asked.append(1)
            return super()._more()

    patched = mock.patch.object(json_lines, "_Window", Counted)
    with patched, pytest.raises(SparftError, match="row 1 is no JSON object"):
        read(path, 100)
    assert len(asked) <= 2


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
    monkeypatch.setattr(json_lines, "BATCH_ROWS", 2)
    rows = [{"a": 0, "b": {"c": 5}}, {"a": 1}, {"a": 2, "b": None}, {"a": 3, "b.c": 7}]
    batches = list(RowsSource(rows, "rows").batches(["b.c", "a"]))
    assert batches == [[[5, None], [0, 1]], [[None, 7], [2, 3]]]
    assert RowsSource(rows, "rows").columns() == ["a", "b", "b.c"]


def test_values_without_a_common_type_are_named_with_their_key(tmp_path):
    rows = [row("a") | {"level": 3}, row("b") | {"level": "hard"}]
    with pytest.raises(SparftError, match="rows, key 'level': the values have no common type"):
        Corpus.of_rows(rows, "rows").take(np.array([0, 1]))
    assert Corpus.of_rows(rows, "rows").take(np.array([1]))["level"].to_pylist() == ["hard"]


def test_half_of_a_surrogate_pair_is_read_but_a_row_that_is_kept_is_named(tmp_path):
    path = tmp_path / "t.jsonl"
    whole = row("b \U0001f600")
    rows = [whole, row("\ud83d"), row("c") | {"note": ["cut \ud83d"]}, whole]
    path.write_text("\n".join(map(json.dumps, rows)))
    corpus = Corpus.open([path])
    assert [r.prompt[0]["content"] for r in corpus.scan()] == [
        "b \U0001f600",
        "\ud83d",
        "c",
        "b \U0001f600",
    ]
    for kept, key in ((1, "prompt"), (2, "note")):
        message = (
            rf"t\.jsonl, row {kept}, key '{key}': holds half of a surrogate pair, which cannot"
        )
        with pytest.raises(SparftError, match=message):
            corpus.take(np.array([0, kept]))
    assert corpus.take(np.array([3, 0])).to_pylist() == [whole, whole]


def test_records_of_uneven_keys_give_one_order_of_columns_whatever_comes_first():
    rows = [
        {"b": 1, "info": {"y": 1, "x": [{"q": 1}]}},
        {"a": 2, "b": 2, "info": {"x": [{"p": 2, "q": 2}], "y": 2}},
        {"b": 3, "info": None},
    ]
    tables = [RowsSource(order, "rows").take([0, 1, 2]) for order in (rows, rows[::-1])]
    assert tables[0].schema == tables[1].schema
    assert tables[0].column_names == ["a", "b", "info"]
    assert tables[0].to_pylist() == tables[1].to_pylist()[::-1]
    assert tables[0].to_pylist()[0]["info"] == {"x": [{"p": None, "q": 1}], "y": 1}


def test_records_of_the_same_keys_keep_their_order():
    rows = [{"b": 1, "a": {"z": 1, "y": 2}}, {"b": 2, "a": {"z": 3, "y": 4}}]
    table = RowsSource(rows, "rows").take([0, 1])
    assert table.column_names == ["b", "a"]
    assert [table.schema.field("a").type.field(i).name for i in range(2)] == ["z", "y"]
