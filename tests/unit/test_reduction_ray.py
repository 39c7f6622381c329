"""Ray: the same bytes as in one process, made by other processes, and errors that can be read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparft_plugin import SparftError
from sparft_plugin.cli.main import main
from sparft_plugin.reduction import ReductionConfig
from sparft_plugin.reduction.embedders.sentence_transformer import SentenceTransformerEmbedder
from sparft_plugin.reduction.engines import open_engine
from sparft_plugin.reduction.from_embeddings import from_embeddings
from sparft_plugin.reduction.vectors import base, given
from tests.unit.reduction_data import row
from tests.unit.test_reduction_bytes import outcome

ray = pytest.importorskip("ray", reason="needs Ray: pip install 'sparft-plugin[ray]'")


@pytest.fixture(scope="module", autouse=True)
def _cluster():
    root = str(Path(__file__).parents[2])
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": root}},
    )
    yield
    ray.shutdown()


@pytest.fixture
def source(tmp_path):
    """60 prompts of several lengths, 20 of them twice."""
    rows = [row(f"{'Add ' * (i % 13)}{i} and {i}?", str(2 * i), note=str(i)) for i in range(60)]
    rows += [row(f"{'Add ' * (i % 13)}{i} and {i}?", str(2 * i), note="b") for i in range(20)]
    path = tmp_path / "in.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def reduced(source, out, cache, monkeypatch, *options):
    monkeypatch.setenv("SPARFT_CACHE", str(cache))
    small = ["--clusters", "3", "--per-cluster", "4", *options]
    assert main(["reduce", str(source), "-o", str(out), *small]) == 0
    return outcome(out)


def test_ray_gives_the_bytes_of_one_process_and_encodes_in_others(source, tmp_path, monkeypatch):
    # Chunks of 16 texts, so that both workers have some.
    monkeypatch.setattr("sparft_plugin.reduction.encode.CHUNK_TEXTS", 16)
    local = reduced(source, tmp_path / "local.parquet", tmp_path / "a", monkeypatch)

    def encode_here(*_):
        raise AssertionError("this process encodes")

    monkeypatch.setattr(SentenceTransformerEmbedder, "encode", encode_here)
    out, cache = tmp_path / "ray.parquet", tmp_path / "b"
    assert reduced(source, out, cache, monkeypatch, "--engine", "ray") == local
    assert json.loads(local[1])["encoder"].startswith("all-MiniLM-L6-v2@")
    shards = [sorted(p.name for p in (tmp_path / c).rglob("*.vectors")) for c in "ab"]
    assert len(shards[0]) == 4
    assert shards[0] == shards[1]


def test_both_workers_take_items_and_every_result_comes_back_once():
    def slow(item):
        import time

        time.sleep(0.3)
        return item * item, os.getpid()

    found = list(open_engine("ray").map(slow, range(8)))
    assert sorted(square for square, _ in found) == [i * i for i in range(8)]
    workers = {worker for _, worker in found}
    assert os.getpid() not in workers
    assert len(workers) == 2
    assert list(open_engine("ray").map(slow, [])) == []


def test_parts_of_a_file_are_read_by_the_workers(tmp_path, monkeypatch):
    for module in (base, given):
        monkeypatch.setattr(module, "PART_ROWS", 64)
    monkeypatch.setattr("sparft_plugin.reduction.cluster.ASSIGN_ROWS", 50)
    path = tmp_path / "vectors.npy"
    np.save(path, np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32))
    config = ReductionConfig(clusters=4, per_cluster=3)
    here, there = (
        from_embeddings(path, config, engine=open_engine(name)) for name in ("local", "ray")
    )
    assert (here.ids, here.manifest) == (there.ids, there.manifest)
    assert here.pool.features.tobytes() == there.pool.features.tobytes()
    assert here.pool.arms.tobytes() == there.pool.arms.tobytes()


def test_bad_data_that_a_worker_finds_is_one_sentence(source, tmp_path, capfd):
    vectors = np.ones((80, 4), np.float32)
    vectors[33, 2] = np.nan
    path, out = tmp_path / "bad.npy", tmp_path / "out.parquet"
    np.save(path, vectors)
    options = ["--engine", "ray", "--clusters", "3", "--embeddings", str(path)]
    capfd.readouterr()
    assert main(["reduce", str(source), "-o", str(out), *options]) == 2
    printed, error = capfd.readouterr()
    assert printed == ""
    assert [line for line in error.splitlines() if "sparft" in line] == [
        f"sparft: error: {path}: the vector of row 33 is not finite; use another encoder or drop "
        "the row."
    ]
    assert "Traceback" not in error
    assert not out.exists()


def test_a_bad_row_stops_the_items_behind_it():
    def refuse(item):
        raise SparftError(f"item {item} is bad; mend it.")

    with pytest.raises(SparftError) as stop:
        list(open_engine("ray").map(refuse, [7]))
    assert str(stop.value) == "item 7 is bad; mend it."
