"""The same prompts are the same table, whatever files they lie in, and texts stay on disk."""

from __future__ import annotations

import json
import os
import tracemalloc
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparft_plugin import SparftError
from sparft_plugin.corpus import Columns, Corpus
from sparft_plugin.prompts import PromptTable
from tests.unit.reduction_data import row, sums, write

KEY = "extra_info.difficulty"
LAYOUTS = ["parquet", "small row groups", "jsonl", "json", "pretty", "shards", "mixed", "saved"]


def lay_out(layout, rows, folder):
    """Write rows in a layout; return the inputs that name them."""
    lines = "\n".join(map(json.dumps, rows))
    table = pa.Table.from_pylist(rows)
    if layout == "parquet":
        return [write(folder / "t.parquet", rows)]
    if layout == "small row groups":
        pq.write_table(table, folder / "t.parquet", row_group_size=2, use_dictionary=False)
        return [folder / "t.parquet"]
    if layout == "jsonl":
        (folder / "t.jsonl").write_text(lines)
        return [folder / "t.jsonl"]
    if layout in ("json", "pretty"):
        (folder / "t.json").write_text(json.dumps(rows, indent=2 if layout == "pretty" else None))
        return [folder / "t.json"]
    if layout == "shards":
        write(folder / "0.parquet", rows[:3])
        write(folder / "1.parquet", rows[3:])
        return [folder]
    if layout == "mixed":
        (folder / "a.jsonl").write_text("\n".join(map(json.dumps, rows[:5])))
        return [folder / "a.jsonl", write(folder / "b.parquet", rows[5:])]
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_list(rows).save_to_disk(folder / "saved")
    return [folder / "saved"]


def varied():
    rows = sums(9)
    rows[2]["prompt"].insert(0, {"role": "system", "content": "Sei kurz: é"})
    rows[4]["prompt"][0]["name"] = "someone"
    rows[7] = dict(rows[1])
    return rows


@pytest.mark.parametrize("layout", LAYOUTS)
def test_ids_rows_texts_labels_and_fingerprint_do_not_depend_on_the_layout(tmp_path, layout):
    expected = PromptTable.from_rows(varied(), source="rows", difficulty_key=KEY)
    corpus = Corpus.open(lay_out(layout, varied(), tmp_path))
    got = PromptTable.from_corpus(corpus, label_keys=[KEY])
    assert got.ids == expected.ids
    assert got.fingerprint == expected.fingerprint
    assert got.rows.tolist() == [0, 1, 2, 3, 4, 5, 6, 8]
    assert got.others == {1: (7,)}
    assert list(got.texts) == list(expected.texts)
    assert got.labels[KEY].tolist() == expected.labels[KEY].tolist()


def test_mapped_columns_are_the_same_prompts_as_verls_own(tmp_path):
    plain = [{"q": f"{i} + {i}?", "a": str(2 * i), "from": "sums"} for i in range(9)]
    columns = Columns(mapping={"prompt": "q", "answer": "a", "data_source": "from"})
    mapped = PromptTable.from_corpus(Corpus.open([write(tmp_path / "t.parquet", plain)], columns))
    own = PromptTable.from_rows(sums(9), source="rows")
    assert (mapped.ids, mapped.fingerprint) == (own.ids, own.fingerprint)


def test_an_error_counts_rows_in_its_own_file(tmp_path):
    write(tmp_path / "a.parquet", sums(5))
    (tmp_path / "b.jsonl").write_text(json.dumps(row("x")) + "\n" + json.dumps(row(" ")))
    with pytest.raises(SparftError, match=r"b\.jsonl, row 1, key 'prompt': no text"):
        PromptTable.from_corpus(Corpus.open([tmp_path]))


@pytest.fixture(params=["parquet", "jsonl"])
def long_texts(request, tmp_path):
    """15,000 rows of 7 kB, which do not compress, and all in one row group."""
    path = tmp_path / f"t.{request.param}"
    rows = [row(f"{i} " + os.urandom(3500).hex()) for i in range(15_000)]
    if request.param == "parquet":
        write(path, rows)
    else:
        path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_neither_scanning_nor_taking_holds_the_texts_of_a_corpus(long_texts):
    before, arrow = pa.total_allocated_bytes(), [0]

    def watched(rows):
        for found in rows:
            arrow.append(pa.total_allocated_bytes() - before)
            yield found

    corpus = Corpus.open([long_texts])
    tracemalloc.start()
    with mock.patch.object(corpus, "scan", lambda keys: watched(Corpus.scan(corpus, keys))):
        table = PromptTable.from_corpus(corpus)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    corpus_bytes = int(table.texts.sizes.sum())
    assert corpus_bytes > 100_000_000
    assert peak < corpus_bytes / 4
    assert max(arrow) < corpus_bytes / 4
    assert held < 600 * len(table)
    taken = corpus.take(np.arange(0, 15_000, 750))
    assert [p[0]["content"] for p in taken["prompt"].to_pylist()] == table.texts[::750]
    assert taken.nbytes < 1_000_000
