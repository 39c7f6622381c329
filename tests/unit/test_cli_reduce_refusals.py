"""What ``sparft reduce`` refuses: one sentence, before anything is encoded, and no file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sparft_plugin.cli.main import main
from tests.unit.reduction_data import HashEmbedder, registered, row, sums, write


@pytest.fixture(autouse=True)
def _hash_embedder():
    HashEmbedder.calls.clear()
    with registered(embedders={"hash": HashEmbedder}):
        yield


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Data, vectors, old outputs and files that are not what they should be."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "in.parquet", sums(60))
    write(tmp_path / "eval.parquet", sums(56))
    write(tmp_path / "blank.parquet", [row("  ")])
    Path("empty.jsonl").write_text("")
    Path("question.jsonl").write_text(json.dumps({"question": "1 + 1?", "prompt": "3?"}))
    for name in ("old.parquet", "page.html", "noted.manifest.json", "paired.pairs.jsonl"):
        Path(name).write_text("old")
    Path("folder.html").mkdir()
    np.save("short.npy", np.ones((59, 3)))
    zero = np.ones((60, 3))
    zero[7] = 0
    np.save("zero.npy", zero)
    return tmp_path


def everything(folder):
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


EARLY = {
    "selector": ("--selector farthest_pint", "unknown selector 'farthest_pint'; did you mean"),
    "embedder": ("--embedder hsh", "unknown embedder 'hsh'; did you mean 'hash'?"),
    "engine": ("--engine rai", "unknown engine 'rai'; did you mean 'ray'? Known: local, ray."),
    "source": ("--difficulty colum:x", "unknown source of difficulty 'colum'; did you mean"),
    "limr": ("--selector limr", "'limr' needs the rewards of a logged run; add --difficulty"),
    "d3": ("--selector d3", "'d3' needs a difficulty for every prompt; add --difficulty column"),
    "spread": ("--selector difficulty_spread", "'difficulty_spread' needs a difficulty for every"),
    "budget": ("--budget 0%", "budget must be at least 1, or a share above 0"),
    "clusters": ("--clusters some", "clusters must be an integer >= 1, not 'some'"),
    "no clusters": ("--clusters 0", "clusters must be an integer >= 1, not 0"),
    "many clusters": ("--clusters 99", "has 60 prompts, fewer than clusters=99; set clusters<=60"),
    "pool": ("--pool some", "pool must be an integer >= 1, not 'some'"),
    "small pool": ("--pool 20", "pool=20 is fewer than the 30 prompts to keep; raise it, or set"),
    "weight": ("--difficulty-weight nan", "difficulty_weight must be a finite number"),
    "encoder": (
        "--embedder sentence_transformers --encoder ./none",
        "the encoder folder ./none does not exist",
    ),
    "constant": ("--difficulty-key extra_info.index", "leave out --difficulty-key"),
    "no label": ("--difficulty-key dificulty", "did you mean 'extra_info.difficulty'?"),
    "words as label": ("--difficulty-key data_source", "row 0, key 'data_source': must be a numb"),
    "prompt key": ("--prompt-key promt", "no column 'promt'; did you mean 'prompt'?"),
    "cosine": ("--near-duplicates 0", "near_duplicates=0 must be a cosine above 0"),
    "clash": ("--map prompt=data_source", "in.parquet has a column 'prompt' already, which --map"),
    "target": ("--map promt=question", "unknown target of --map 'promt'; did you mean 'prompt'?"),
    "mapping": ("--map prompt", "--map prompt must be TARGET=COLUMN, such as prompt=question."),
    "template": ("--template Solve", "the template 'Solve' must hold {prompt}."),
    "no solved": ("--difficulty solved:no.jsonl", "no.jsonl does not exist; check the path."),
    "no rollouts": ("--difficulty rollouts:no", "the folder of rollouts no does not exist"),
    "vectors": ("--embeddings v.txt", "--embeddings v.txt must be a .npy file or column:NAME."),
    "no vectors": ("--embeddings no.npy", "no.npy does not exist; check the path."),
    "few vectors": ("--embeddings short.npy", "short.npy have shape (59, 3); one row for each"),
    "zero vector": ("--embeddings zero.npy", "zero.npy: the vector of row 7 is zero"),
    "no column": ("--embeddings column:prmpt", "in.parquet has no column 'prmpt'; did you mean"),
    "words": ("--embeddings column:prompt", "in.parquet, row 0, key 'prompt': "),
    "no set": ("--decontaminate no.parquet", "no.parquet does not exist; check the path."),
    "empty set": ("--decontaminate empty.jsonl", "empty.jsonl has no rows; give at least one"),
    "blank set": ("--decontaminate blank.parquet", "blank.parquet, row 0, key 'prompt': no text"),
    "second set": ("--decontaminate eval.parquet no.parquet", "no.parquet does not exist"),
    "page": ("--report page.html", "page.html already exists; pass --overwrite"),
    "page of text": ("--report page.txt", "--report page.txt must end in .html or .htm"),
    "page over data": ("--report in.parquet --overwrite", "must end in .html or .htm"),
    "page a folder": ("--report folder.html --overwrite", "folder.html is a folder; choose"),
    "page nowhere": ("--report no/page.html", "the folder no does not exist; create it first."),
    "old": ("-o old.parquet", "old.parquet already exists; pass --overwrite"),
    "noted": ("-o noted.parquet", "noted.manifest.json already exists; pass --overwrite"),
    "paired": (
        "-o paired.parquet --near-duplicates 0.9",
        "paired.pairs.jsonl already exists; pass --overwrite",
    ),
    "over the set": (
        "-o eval.parquet --overwrite --decontaminate eval.parquet",
        "eval.parquet is also an input; choose another output.",
    ),
    "nowhere to write": ("-o /proc/kept.parquet", "/proc/kept.parquet cannot be written ("),
    "page nowhere to write": ("--report /proc/kept.html", "/proc/kept.html cannot be written ("),
    "data source": ("--data-source gsm8k", "in.parquet has a column 'data_source' already, which"),
    "over itself": ("-o in.parquet --overwrite", "in.parquet is also an input"),
}


@pytest.mark.parametrize("case", EARLY)
def test_it_is_refused_before_anything_is_encoded_and_no_file_changes(folder, capsys, case):
    options, problem = EARLY[case]
    refused(folder, capsys, f"--clusters 3 {options} -- in.parquet", problem)


def refused(folder, capsys, options, problem):
    """One line that holds the problem; nothing was encoded or written."""
    before = everything(folder)
    assert main(["reduce", "-o", "out.parquet", "--embedder", "hash", *options.split()]) == 2
    printed, error = capsys.readouterr()
    assert printed == ""
    assert error.startswith("sparft: error: ")
    assert problem in error
    assert error.count("\n") == 1
    assert HashEmbedder.calls == []
    assert everything(folder) == before


PARTS = [{"role": "system", "content": "?"}, {"role": "user", "content": [{"text": "a"}]}]
UNWRITABLE = {
    "no field": ({"meta": {}}, {"meta": {}}, "Cannot write struct type 'meta' with no child field"),
    "no field inside": ({"meta": {"a": {}}}, {}, "Cannot write struct type 'a' with no child"),
    "extra_info": ({"extra_info": "{}"}, {"extra_info": "{}"}, "'extra_info' is a string; make it"),
    "parts": ({}, {"prompt": PARTS}, "row 59, key 'prompt': has no one type (cannot mix list"),
    "half a pair": ({}, {"note": "\ud83d"}, "row 59, key 'note': holds half of a surrogate pair"),
    "two types": ({"level": 3}, {"level": "hard"}, "row 59, key 'level': has no one type ("),
}


@pytest.mark.parametrize("case", UNWRITABLE)
def test_rows_that_cannot_be_written_are_refused_before_anything_is_encoded(folder, capsys, case):
    common, last, problem = UNWRITABLE[case]
    rows = [each | common for each in sums(60)]
    rows[-1] |= last
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    refused(folder, capsys, "--clusters 3 -- rows.jsonl", problem)


@pytest.mark.parametrize("given", ["caf\udce9.jsonl", "folder"])
def test_a_file_name_that_is_not_utf8_is_refused_before_anything_is_encoded(folder, capsys, given):
    source = Path(given) if given.endswith(".jsonl") else Path(given) / "caf\udce9.parquet"
    source.parent.mkdir(exist_ok=True)
    source.write_text("\n".join(map(json.dumps, sums(60))))
    options = ["--clusters", "3", "--embedder", "hash"]
    for inputs, out in (([given], "out.parquet"), (["in.parquet"], "caf\udce9.parquet")):
        assert main(["reduce", *inputs, "-o", out, *options]) == 2
        error = capsys.readouterr().err
        assert error.startswith("sparft: error: the file name '")
        assert error.endswith("' is not UTF-8; rename it.\n")
    assert HashEmbedder.calls == []


def test_an_output_among_the_files_of_a_folder_is_refused(folder, capsys):
    Path("data").mkdir()
    write(Path("data/a.parquet"), sums(30))
    write(Path("data/b.parquet"), sums(60)[30:])
    problem = "data/b.parquet is also an input"
    refused(folder, capsys, "--clusters 3 --overwrite -o data/b.parquet -- data", problem)


def test_a_column_in_the_way_of_a_mapped_one_is_refused(folder, capsys):
    options = "--map prompt=question --data-source s --clusters 1 -- question.jsonl"
    refused(folder, capsys, options, "question.jsonl has ")


def test_hygiene_that_leaves_too_few_is_one_sentence(folder, capsys):
    before = everything(folder)
    options = "--clusters 10 --embedder hash --decontaminate eval.parquet -o out.parquet"
    assert main(["reduce", *options.split(), "--", "in.parquet"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == (
        "sparft: error: in.parquet, after hygiene, has 3 prompts, fewer than clusters=10; set "
        "clusters<=3."
    )
    assert everything(folder) == before


def test_few_prompts_are_one_warning_not_two(folder, caplog):
    options = "--clusters 3 --budget 99 --embedder hash -o out.parquet"
    assert main(["reduce", *options.split(), "--", "in.parquet"]) == 0
    assert [record.getMessage() for record in caplog.records] == [
        "in.parquet has 60 prompts, fewer than the budget = 99; all are kept."
    ]
    told = json.loads(Path("out.manifest.json").read_text())
    assert (told["kept"], told["shortfall"]) == (60, 39)
