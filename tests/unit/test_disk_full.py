"""A disk that fills up while a reduction is written: what stood there before stands there still."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from sparft_plugin import SparftError
from sparft_plugin.reduction import files, write
from sparft_plugin.reduction.files import whole_file
from tests.unit.reduction_data import kept, row, write_out
from tests.unit.reduction_data import write as write_rows

pytest.importorskip("resource", reason="needs RLIMIT_FSIZE to make a disk full")

ROOT = Path(__file__).parents[2]
RUN = """
import resource, signal, sys
from sparft_plugin.cli import reduce
from sparft_plugin.cli.main import main
from tests.unit.reduction_data import HashEmbedder, registered

limit, function = int(sys.argv[1]), sys.argv[2]
kept = getattr(reduce, function)

def on_a_full_disk(*arguments, **options):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    return kept(*arguments, **options)

setattr(reduce, function, on_a_full_disk)
with registered(embedders={"hash": HashEmbedder}):
    sys.exit(main(["reduce", *sys.argv[3:]]))
"""


def long_rows(n=60):
    """Prompts of a few hundred characters that parquet cannot squeeze."""
    rng = np.random.default_rng(0)
    return [row(f"{i} {rng.bytes(200).hex()}") for i in range(n)]


@pytest.fixture
def folder(tmp_path):
    """A folder with an input, an evaluation set and four old outputs."""
    rows = long_rows()
    write_rows(tmp_path / "in.parquet", rows)
    write_rows(tmp_path / "eval.parquet", rows[:5])
    for name in ("out.parquet", "out.manifest.json", "out.pairs.jsonl", "out.html"):
        (tmp_path / name).write_text(f"old {name}")
    return tmp_path


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def run(folder, limit, function):
    """Reduce in a process that can write ``limit`` bytes to a file from ``function`` on."""
    options = ["--embedder", "hash", "--clusters", "3", "--per-cluster", "5", "--overwrite"]
    options += ["--decontaminate", "eval.parquet", "--report"]
    return subprocess.run(
        [
            *(sys.executable, "-c", RUN, str(limit), function),
            *("-o", "out.parquet", *options, "--", "in.parquet"),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


FULL_AT = {
    "parquet": (4000, "write_reduced", "out.parquet cannot be written"),
    "pairs": (500, "write_pairs", "out.pairs.jsonl cannot be written"),
    "page": (20_000, "_stage", "out.html cannot be written"),
    "texts": (2000, "corpus_of", "the disk is full"),
    "cache": (3000, "reduce", "cannot be written|the disk is full"),
}


@pytest.mark.parametrize("case", FULL_AT)
def test_a_full_disk_is_one_sentence_and_every_old_file_stays(folder, case):
    limit, function, problem = FULL_AT[case]
    before = contents(folder)
    done = run(folder, limit, function)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = [line for line in done.stderr.splitlines() if "warning" not in line.lower()]
    assert line.startswith("sparft: error: ")
    assert any(part in line for part in problem.split("|"))
    assert "File too large" in line
    assert contents(folder) == before


def no_room(*_):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("module", "step"), [(files.os, "fsync"), (write.pq, "write_table"), (write, "_sha256")]
)
def test_no_file_is_replaced_before_both_are_on_disk(tmp_path, monkeypatch, module, step):
    rows, out = long_rows(4), tmp_path / "out.parquet"
    source = write_rows(tmp_path / "in.parquet", rows)
    write_out([source], kept(rows, 0, 1), out)
    before = contents(tmp_path)
    monkeypatch.setattr(module, step, no_room)
    with pytest.raises(SparftError, match=r"out\.parquet cannot be written: .*No space left"):
        write_out([source], kept(rows, 2, 3), out, overwrite=True)
    assert contents(tmp_path) == before


def test_after_a_power_cut_between_the_two_the_manifest_tells_that_it_is_old(tmp_path, monkeypatch):
    rows, out = long_rows(4), tmp_path / "out.parquet"
    source = write_rows(tmp_path / "in.parquet", rows)
    note = write_out([source], kept(rows, 0, 1), out)
    old = note.read_bytes()
    replace = os.replace

    def cut_after_the_first(*names):
        monkeypatch.setattr(os, "replace", no_room)
        replace(*names)

    monkeypatch.setattr(os, "replace", cut_after_the_first)
    with pytest.raises(SparftError):
        write_out([source], kept(rows, 2, 3), out, overwrite=True)
    written = pq.read_table(out).to_pylist()
    assert [each["prompt"] for each in written] == [each["prompt"] for each in rows[2:]]
    assert note.read_bytes() == old
    digest = json.loads(old)["output"]["sha256"]
    assert digest != hashlib.sha256(out.read_bytes()).hexdigest()
    assert {p.name for p in tmp_path.iterdir()} == {"in.parquet", "out.parquet", note.name}


def test_a_file_that_cannot_be_finished_leaves_the_old_one_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def stop_half_way():
        with whole_file(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop_half_way()
    assert contents(tmp_path) == {"file": b"old"}
