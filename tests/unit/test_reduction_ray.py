"""Ray: the same bytes as in one process, made by other processes, and errors that can be read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparft_plugin import SparftError
from sparft_plugin.cli.main import main
from sparft_plugin.reduction.embedders.sentence_transformer import SentenceTransformerEmbedder
from sparft_plugin.reduction.ray import map_on_ray
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


def test_both_workers_take_chunks_and_every_result_comes_back_once(tmp_path):
    def slow(texts):
        import time

        time.sleep(0.3)
        return texts[0] * 2, os.getpid()

    found = list(map_on_ray(slow, ([text] for text in "abcdefgh"), tmp_path))
    assert sorted(text for text, _ in found) == [text * 2 for text in "abcdefgh"]
    workers = {worker for _, worker in found}
    assert os.getpid() not in workers
    assert len(workers) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_text_that_a_worker_refuses_is_one_sentence_and_leaves_nothing(tmp_path):
    def refuse(texts):
        raise SparftError(f"the text {texts[0]!r} is bad; mend it.")

    with pytest.raises(SparftError) as stop:
        list(map_on_ray(refuse, [["why"]], tmp_path))
    assert str(stop.value) == "the text 'why' is bad; mend it."
    assert list(tmp_path.iterdir()) == []
