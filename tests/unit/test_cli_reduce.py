"""``sparft reduce`` as a user types it."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from sparft_plugin.cli.main import main
from tests.unit.reduction_data import HashEmbedder, registered, row, sums, write

KEY = "extra_info.difficulty"


@pytest.fixture(autouse=True)
def _hash_embedder():
    with registered(embedders={"hash": HashEmbedder}):
        yield


@pytest.fixture
def source(tmp_path):
    return write(tmp_path / "in.parquet", [*sums(60), sums(60)[0]])


def reduce(source, out, *options):
    small = ["--clusters", "3", "--per-cluster", "2", "--embedder", "hash"]
    inputs = source if isinstance(source, list) else [source]
    return main(["reduce", *map(str, inputs), "-o", str(out), *small, *options])


def test_it_writes_the_reduced_file_its_manifest_and_a_summary(source, tmp_path, capsys):
    out = tmp_path / "out.parquet"
    assert reduce(source, out, "--difficulty-key", KEY, "--seed", "7") == 0
    kept = pq.read_table(out).to_pylist()
    assert [e["extra_info"]["sparft"]["arm"] for e in kept] == [0, 0, 1, 1, 2, 2]
    manifest = json.loads((tmp_path / "out.manifest.json").read_text(encoding="utf-8"))
    assert (manifest["seed"], manifest["kept"], manifest["pool"]) == (7, 6, 60)

    printed, noise = capsys.readouterr()
    first, cover, head, *arms, last = printed.splitlines()
    assert first == (
        "kept 6 of 60 prompts in 3 arms; 1 duplicate rows left out, 0 missing in small arms."
    )
    assert f"within {manifest['coverage']['radius']:.2f}" in cover
    assert head.split() == ["arm", "pool", "kept", "difficulty", "radius", "example"]
    for line, entry, prompt in zip(arms[::2], manifest["arms"], kept[::2], strict=True):
        arm, pool, count, difficulty, radius, example = line.split(maxsplit=5)
        assert radius == f"{entry['radius']:.2f}"
        assert (int(arm), int(pool), int(count)) == (entry["arm"], entry["pool"], 2)
        assert difficulty == f"{entry['mean_difficulty']:.2f}"
        assert example == prompt["prompt"][0]["content"]
    assert last == f"wrote {out} and {tmp_path / 'out.manifest.json'}"
    assert noise == ""


def test_several_files_are_one_pool_and_without_a_difficulty_there_is_a_dash(
    source, tmp_path, capsys
):
    more = write(tmp_path / "more.parquet", sums(70)[60:])
    assert reduce([source, more], tmp_path / "out.parquet") == 0
    manifest = json.loads((tmp_path / "out.manifest.json").read_text(encoding="utf-8"))
    assert (manifest["pool"], manifest["source"]) == (70, "in.parquet, more.parquet")
    assert capsys.readouterr().out.splitlines()[3].split()[3] == "-"


def test_an_output_is_only_replaced_when_told(source, tmp_path, capsys):
    out = tmp_path / "out.parquet"
    assert reduce(source, out) == 0
    first = out.read_bytes()
    assert reduce(source, out, "--seed", "1", "--selector", "random") == 2
    assert out.read_bytes() == first
    assert "already exists; pass --overwrite" in capsys.readouterr().err
    assert reduce(source, out, "--seed", "1", "--selector", "random", "--overwrite") == 0
    assert out.read_bytes() != first


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (row("bad", None), "'reward_model.ground_truth': is missing"),
        (row("bad"), f"'{KEY}': must be a number, not null"),
    ],
)
def test_a_bad_row_is_one_line_and_exit_code_2_and_no_file(tmp_path, capsys, bad, problem):
    path = write(tmp_path / "bad.parquet", [*sums(60), bad])
    assert reduce(path, tmp_path / "out.parquet", "--difficulty-key", KEY) == 2
    printed, error = capsys.readouterr()
    assert error.startswith(f"sparft: error: {path}, row 60, key {problem}")
    assert error.count("\n") == 1
    assert printed == ""
    assert [p.name for p in tmp_path.iterdir()] == ["bad.parquet"]


def test_help_gives_every_default(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["reduce", "--help"])
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for default in ("10", "1.0", "32", "farthest_point", "all-MiniLM-L6-v2", "0", "prompt"):
        assert f"(default: {default})" in text


def test_examples_are_one_short_line_even_where_stdout_is_ascii(tmp_path, monkeypatch):
    rows = [row(f"{i}\nÄpfel\t und \x1b[1m{'sehr ' * 30}") for i in range(6)]
    path = write(tmp_path / "in.parquet", rows)
    screen = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", screen)
    assert reduce(path, tmp_path / "out.parquet") == 0
    screen.seek(0)
    line = screen.read().splitlines()[3]
    assert "?pfel und [1msehr sehr" in line
    assert len(line) < 100


def test_the_installed_command_shows_no_traceback(tmp_path):
    command = [sys.executable, "-c", "from sparft_plugin.cli.main import main; exit(main())"]
    done = subprocess.run(
        [*command, "reduce", "none.parquet", "-o", "out.parquet"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "sparft: error: none.parquet does not exist; check the path.\n"
