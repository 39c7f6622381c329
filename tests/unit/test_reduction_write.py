"""The reduced parquet: verl's schema, one new field, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparft_plugin import SparftError
from sparft_plugin.corpus import Corpus
from sparft_plugin.prompts import PromptTable, prompt_id
from sparft_plugin.reduction import write_reduced
from sparft_plugin.reduction.write import manifest_path
from tests.unit.reduction_data import facts, kept, row, sums, write, write_out

SPARFT = pa.struct([("id", pa.string()), ("arm", pa.int64()), ("difficulty", pa.float64())])


def id_of(row):
    return prompt_id("sums", row["prompt"])


def extra(out):
    return pq.read_table(out)["extra_info"].to_pylist()


def test_rows_come_in_the_order_of_the_reduction_through_all_files(tmp_path):
    rows = sums(9)
    a, b = write(tmp_path / "a.parquet", rows[:4]), tmp_path / "b.parquet"
    pq.write_table(pa.Table.from_pylist(rows[4:]), b, row_group_size=2)
    write_out([a, b], kept(rows, 8, 3, 4, 0), tmp_path / "out.parquet")
    got = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [g["prompt"] for g in got] == [rows[i]["prompt"] for i in (8, 3, 4, 0)]
    assert [g["reward_model"]["ground_truth"] for g in got] == ["16", "6", "8", "0"]


def test_columns_keep_their_types_in_the_order_of_their_names_and_extra_info_gains_sparft(tmp_path):
    rows = [
        {"images": [{"bytes": b"\x00", "path": None}], "score": 1, **row("¿qué?"), "tail": [[1.5]]}
    ]
    source = write(tmp_path / "in.parquet", rows)
    before = pq.read_schema(source)
    write_out([source], kept(rows, 0, difficulties=np.array([0.25])), tmp_path / "out.parquet")
    after = pq.read_schema(tmp_path / "out.parquet")
    assert after.names == sorted(before.names)
    extra_info = [("index", pa.int64()), ("sparft", SPARFT)]
    sorted_by_hand = {
        "extra_info": pa.struct(extra_info),
        "prompt": pa.list_(pa.struct([("content", pa.string()), ("role", pa.string())])),
        "reward_model": pa.struct([("ground_truth", pa.string()), ("style", pa.string())]),
    }
    for name in before.names:
        assert after.field(name).type == sorted_by_hand.get(name, before.field(name).type)
    (got,) = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert got == rows[0] | {
        "extra_info": {"index": 0, "sparft": {"id": id_of(rows[0]), "arm": 0, "difficulty": 0.25}}
    }


def test_unknown_difficulty_is_null(tmp_path):
    source = write(tmp_path / "in.parquet", sums(2))
    reduction = kept(sums(2), 1, difficulties=np.array([math.nan]))
    write_out([source], reduction, tmp_path / "out.parquet")
    assert extra(tmp_path / "out.parquet")[0]["sparft"]["difficulty"] is None


def test_missing_extra_info_is_created(tmp_path):
    bare = {name: value for name, value in row().items() if name != "extra_info"}
    for value in ({}, {"extra_info": None}, {"extra_info": {}}):
        source = tmp_path / "in.jsonl"
        source.write_text(json.dumps(bare | value))
        write_out([source], kept([bare], 0), tmp_path / "out.parquet", overwrite=True)
        assert extra(tmp_path / "out.parquet") == [
            {"sparft": {"id": id_of(bare), "arm": 0, "difficulty": 0.5}}
        ]


def test_a_null_extra_info_gets_its_sparft_and_its_neighbour_keeps_its_own(tmp_path):
    rows = [row("a"), row("b") | {"extra_info": None}]
    source = write(tmp_path / "in.parquet", rows)
    write_out([source], kept(rows, 1, 0), tmp_path / "out.parquet")
    first, second = extra(tmp_path / "out.parquet")
    assert (first["index"], first["sparft"]["id"]) == (None, id_of(rows[1]))
    assert (second["index"], second["sparft"]["id"]) == (0, id_of(rows[0]))


def test_reducing_again_replaces_the_older_sparft(tmp_path):
    once, twice = tmp_path / "once.parquet", tmp_path / "twice.parquet"
    write_out([write(tmp_path / "in.parquet", sums(4))], kept(sums(4), 2, 3), once)
    write_out([once], kept(sums(4)[2:], 1), twice)
    assert [e["sparft"]["id"] for e in extra(twice)] == [id_of(sums(4)[3])]
    assert pq.read_schema(twice) == pq.read_schema(once)


def test_the_manifest_holds_the_digest_of_the_output(tmp_path):
    out = tmp_path / "out.parquet"
    note = write_out([write(tmp_path / "in.parquet", sums(4))], kept(sums(4), 2), out)
    assert note == manifest_path(out) == tmp_path / "out.manifest.json"
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    assert json.loads(note.read_text(encoding="utf-8")) == asdict(facts()) | {
        "output": {"file": "out.parquet", "rows": 1, "sha256": digest},
    }


@pytest.mark.parametrize("change", ["other rows", "fewer rows", "no such column"])
def test_an_input_that_changed_after_it_was_read_is_refused(tmp_path, change):
    rows, source = sums(6), tmp_path / "in.jsonl"
    source.write_text("\n".join(map(json.dumps, rows)))
    corpus = Corpus.open([source])
    prompts = PromptTable.from_corpus(corpus)
    reduction = kept(rows, 0, 4)
    changed = {
        "other rows": rows[::-1],
        "fewer rows": rows[:3],
        "no such column": [{"question": str(i)} for i in range(6)],
    }
    source.write_text("\n".join(map(json.dumps, changed[change])))
    with pytest.raises(SparftError, match="changed after it was read; run again|has 3 rows, but"):
        write_reduced(corpus, prompts, reduction, tmp_path / "out.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_pandas_and_datasets_read_the_output(tmp_path):
    pandas = pytest.importorskip("pandas")
    datasets = pytest.importorskip("datasets")
    frame, hub = tmp_path / "frame.parquet", tmp_path / "hub.parquet"
    pandas.DataFrame(sums(9)).to_parquet(frame)
    datasets.Dataset.from_list(sums(9)).to_parquet(hub)
    for source in (frame, hub):
        out = tmp_path / f"{source.stem}-out.parquet"
        write_out([source], kept(sums(9), 7, 1), out)
        ids = [id_of(sums(9)[n]) for n in (7, 1)]
        assert list(pandas.read_parquet(out).extra_info.str["sparft"].str["id"]) == ids
        read = datasets.Dataset.from_parquet(str(out), cache_dir=str(tmp_path / "cache"))
        assert [e["sparft"]["id"] for e in read["extra_info"]] == ids


def test_what_datasets_notes_of_images_stays_whatever_stands_beside_them(tmp_path):
    datasets = pytest.importorskip("datasets")
    hub, out = tmp_path / "hub.parquet", tmp_path / "out.parquet"
    rows = [each | {"picture": {"bytes": b"x", "path": None}} for each in sums(2)]
    features = datasets.Dataset.from_list(rows).features
    features["picture"] = datasets.Image()
    datasets.Dataset.from_list(rows, features=features).to_parquet(hub)
    other = write(tmp_path / "other.parquet", sums(9)[2:])
    write_out([other, hub], kept(sums(9)[2:] + rows, 0, 8), out)
    read = datasets.Features.from_arrow_schema(pq.read_schema(out))
    assert read["picture"] == datasets.Image()
    assert read["extra_info"]["sparft"]["arm"] == datasets.Value("int64")


@pytest.mark.parametrize(
    ("out", "problem"),
    [
        ("out.json", "out.json must end in .parquet"),
        ("none/out.parquet", "the folder .*none does not exist"),
        ("in.parquet", "in.parquet is also an input"),
        ("old.parquet", "old.parquet already exists; pass --overwrite"),
        ("noted.parquet", "noted.manifest.json already exists"),
    ],
)
def test_a_bad_output_is_refused_and_nothing_is_written(tmp_path, out, problem):
    source = write(tmp_path / "in.parquet", sums(4))
    (tmp_path / "old.parquet").write_text("old")
    (tmp_path / "noted.manifest.json").write_text("old")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(SparftError, match=problem):
        write_out([source], kept(sums(4), 0), tmp_path / out)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_link_stays_a_link_and_one_that_leads_nowhere_is_refused(tmp_path):
    source, link = write(tmp_path / "in.parquet", sums(4)), tmp_path / "link.parquet"
    (tmp_path / "elsewhere").mkdir()
    link.symlink_to("elsewhere/real.parquet")
    with pytest.raises(SparftError, match="link to elsewhere/real.parquet, which does not exist;"):
        write_out([source], kept(sums(4), 0), link, overwrite=True)
    assert os.readlink(link) == "elsewhere/real.parquet"
    link.resolve().write_text("old")
    with pytest.raises(SparftError, match="link.parquet already exists; pass --overwrite"):
        write_out([source], kept(sums(4), 0), link)
    write_out([source], kept(sums(4), 0), link, overwrite=True)
    assert os.readlink(link) == "elsewhere/real.parquet"
    assert pq.read_table(tmp_path / "elsewhere" / "real.parquet").num_rows == 1
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["real.parquet"]


def test_extra_info_that_is_no_struct_is_refused(tmp_path):
    source = write(tmp_path / "in.parquet", [row() | {"extra_info": "{}"}])
    with pytest.raises(SparftError, match="'extra_info' is a string; make it a struct"):
        write_out([source], kept([row()], 0), tmp_path / "out.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["in.parquet"]
