"""Same seed, same bytes: whatever the order of rows, the cut into files, the run or the threads."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparft_plugin.cli.main import main
from tests.unit.reduction_data import HashEmbedder, registered, row

ROOT = Path(__file__).parents[2]
NAMES = ("source", "output")
"""Keys of a manifest that name files."""
SMALL = ["--clusters", "3", "--per-cluster", "4", "--seed", "5"]
LABELLED = ["--difficulty-key", "extra_info.difficulty"]


@pytest.fixture(autouse=True)
def _hash_embedder():
    with registered(embedders={"hash": HashEmbedder}):
        yield


def corpus():
    """60 prompts; every sixth stands in three rows that differ in other columns and in labels."""
    rows = [
        row(f"{i} + {i} is?", str(2 * i), difficulty=float(i % 10), note=f"row {i}", tags=["a"] * i)
        for i in range(60)
    ]
    again = [
        row(f"{i} + {i} is?", str(2 * i), difficulty=float(copy), note=f"copy {copy}", tags=[])
        for i in range(0, 60, 6)
        for copy in (1, 2)
    ]
    return rows + again


SCHEMA = pa.Table.from_pylist(corpus()).schema


def shard(path, rows, **options):
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path, **options)
    return path


def reduced(inputs, out, *options):
    """Hash of the parquet bytes, and the manifest without the names of files."""
    given = map(str, inputs if isinstance(inputs, list) else [inputs])
    assert main(["reduce", *given, "-o", str(out), "--overwrite", *SMALL, *options]) == 0
    return outcome(out)


def outcome(out):
    manifest = json.loads(out.with_suffix(".manifest.json").read_text(encoding="utf-8"))
    data = hashlib.sha256(out.read_bytes()).hexdigest()
    assert manifest["output"]["sha256"] == data
    return data, json.dumps({k: v for k, v in manifest.items() if k not in NAMES})


HASHED = ["--embedder", "hash"]
METHODS = {
    "default": [],
    "difficulty": LABELLED,
    "random": ["--selector", "random"],
    "spread": ["--selector", "difficulty_spread", *LABELLED],
    "d3": ["--selector", "d3", *LABELLED],
    "medoid": ["--selector", "medoid", "--budget", "7"],
    "auto": ["--clusters", "auto"],
    "near duplicates": ["--near-duplicates", "0.8"],
}


@pytest.mark.parametrize("method", METHODS)
def test_order_and_cut_of_the_rows_change_no_byte(tmp_path, method):
    rows, options = corpus(), [*HASHED, *METHODS[method]]
    once = reduced(shard(tmp_path / "once.parquet", rows), tmp_path / "out.parquet", *options)
    mixed = random.Random(3).sample(rows, len(rows))
    folder = tmp_path / "folder"
    folder.mkdir()
    shard(folder / "b.parquet", mixed[:7])
    shard(folder / "a.parquet", mixed[7:50], row_group_size=5)
    layouts = {
        "again": tmp_path / "once.parquet",
        "reversed": shard(tmp_path / "reversed.parquet", rows[::-1]),
        "three files": [
            shard(tmp_path / f"{i}.parquet", mixed[i::3], row_group_size=4 + i) for i in range(3)
        ],
        "folder and file": [folder, shard(tmp_path / "rest.parquet", mixed[50:])],
    }
    for inputs in layouts.values():
        assert reduced(inputs, tmp_path / "out.parquet", *options) == once


def test_of_rows_with_one_prompt_the_same_is_written_whatever_comes_first(tmp_path):
    rows = [row("1 + 1?", "2", note=note, difficulty=0.0) for note in ("b", "a", "c")]
    kept = set()
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        path, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
        pq.write_table(pa.Table.from_pylist([rows[i] for i in order]), path)
        reduced(path, out, "--clusters", "1", "--per-cluster", "1", *HASHED)
        kept.add(pq.read_table(out)["extra_info"].to_pylist()[0]["note"])
    assert kept == {"a"}


def shuffled(value, rng):
    """The same value with the keys of every dict in another order."""
    if isinstance(value, dict):
        return {key: shuffled(value[key], rng) for key in rng.sample(sorted(value), len(value))}
    return [shuffled(each, rng) for each in value] if isinstance(value, list) else value


def uneven():
    """53 rows that have neither the same keys nor the same types."""
    infos = [{}, {"level": 1}, {"level": None}, {"deep": {"n": [{"x": 2}]}}]
    columns = [{}, {"weight": 1}, {"weight": 0.5}, {"tags": []}, {"tags": [{"t": "a"}]}]
    again = [(i, float(i)) for i in range(1, 40, 3)]
    rows = []
    for i, truth in [*((i, i if i % 3 else i / 2) for i in range(40)), *again]:
        rows.append(row(f"{i} and {i}?", truth, note=f"row {len(rows)}") | columns[len(rows) % 5])
        rows[-1]["extra_info"] |= infos[len(rows) % 4]
        rows[-1]["prompt"] += [[], [{"role": "assistant", "content": "?", "turn": 1}]][i % 2]
    rows[5]["prompt"][1]["turn"] = 1.5
    return rows


def any_file(path, rows, kind):
    """Write rows in a file that has only the columns, fields and types of these rows."""
    if kind == "parquet":
        table = pa.Table.from_struct_array(pa.array(rows))
        if len(rows) % 2:
            at = table.column_names.index("data_source")
            table = table.set_column(at, "data_source", table["data_source"].dictionary_encode())
        pq.write_table(table, path, row_group_size=5)
    else:
        path.write_text(json.dumps(rows) if kind == "json" else "\n".join(map(json.dumps, rows)))
    return path


@pytest.mark.parametrize("seed", range(8))
def test_no_cut_into_files_of_other_schemas_key_orders_and_formats_changes_a_byte(tmp_path, seed):
    rng, rows, out = random.Random(seed), uneven(), tmp_path / "out.parquet"
    whole = reduced(any_file(tmp_path / "whole.jsonl", rows, "jsonl"), out, *HASHED)
    mixed = [shuffled(each, rng) for each in rng.sample(rows, len(rows))]
    bounds = [0, *sorted(rng.sample(range(1, len(rows)), seed)), len(rows)]
    kinds = rng.choices(["parquet", "jsonl", "json"], k=seed + 1)
    files = [
        any_file(tmp_path / f"{n}.{kind}", mixed[start:stop], kind)
        for n, (start, stop, kind) in enumerate(zip(bounds, bounds[1:], kinds, strict=False))
    ]
    assert reduced(files, out, *HASHED) == whole


def test_another_seed_is_another_choice(tmp_path):
    source = shard(tmp_path / "in.parquet", corpus())
    options = [*HASHED, "--selector", "random"]
    outs = [
        reduced(source, tmp_path / "out.parquet", *options, "--seed", str(seed))[0]
        for seed in (1, 2)
    ]
    assert outs[0] != outs[1]


def in_a_process(source, out, cache, threads):
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    variables = dict.fromkeys(names, threads) | {"SPARFT_CACHE": str(cache)}
    command = [sys.executable, "-m", "sparft_plugin", "reduce", str(source), "-o", str(out)]
    subprocess.run(
        [*command, *SMALL],
        check=True,
        capture_output=True,
        cwd=ROOT,
        env=os.environ | variables,
    )
    return outcome(out)


def test_the_real_encoder_gives_the_same_bytes_with_one_thread_and_with_all(tmp_path):
    # Texts of several lengths, so that passes of the encoder differ with the order of the rows.
    rows = [row(f"{'Add ' * (i % 13)}{i} and {i}?", str(2 * i)) for i in range(60)]
    sources = [tmp_path / "rows.parquet", tmp_path / "reversed.parquet"]
    for source, order in zip(sources, (rows, rows[::-1]), strict=True):
        pq.write_table(pa.Table.from_pylist(order), source)
    here = _, manifest = reduced(sources[0], tmp_path / "here.parquet")
    there, cache = tmp_path / "there.parquet", tmp_path / "cache"
    assert in_a_process(sources[1], there, cache, "1") == here
    assert list(cache.rglob("*.vectors")) != []
    assert json.loads(manifest)["encoder"].startswith("all-MiniLM-L6-v2@")
