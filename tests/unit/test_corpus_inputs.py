"""What a user may name as input: files, folders, saved datasets and names on the hub."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sparft_plugin import SparftError
from sparft_plugin.corpus import Columns, Corpus, open_sources
from sparft_plugin.corpus.rows import Place
from tests.unit.reduction_data import row, sums, write


def write_lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def questions(corpus):
    return [r.prompt[0]["content"] for r in corpus.scan()]


def test_a_folder_is_read_file_by_file_in_the_order_of_paths_whatever_the_format(tmp_path):
    # Spark writes folders with the name of a file.
    (tmp_path / "b.parquet").mkdir()
    write(tmp_path / "b.parquet" / "part-0.snappy.parquet", [row("three")])
    write_lines(tmp_path / "c.jsonl", [row("four"), row("five")])
    (tmp_path / "d.json").write_text(json.dumps([row("six")]))
    write_lines(tmp_path / "a" / "z.jsonl", [row("one")])
    write_lines(tmp_path / "a" / "zz" / "0.jsonl", [row("two")])
    assert questions(Corpus.open([tmp_path / "d.json", tmp_path / "a"])) == ["six", "one", "two"]
    corpus = Corpus.open([tmp_path])
    assert questions(corpus) == ["one", "two", "three", "four", "five", "six"]
    assert corpus.name == "z.jsonl, 0.jsonl, part-0.snappy.parquet, c.jsonl, d.json"
    assert corpus.place(4) == Place(str(tmp_path / "c.jsonl"), 1)


def test_hidden_files_other_kinds_and_what_reduce_wrote_are_left_out_of_a_folder(tmp_path):
    folder = tmp_path / ".cache" / "data"
    write_lines(folder / "seen.jsonl", [row("seen")])
    write_lines(folder / ".hidden.jsonl", [row("hidden")])
    write_lines(folder / ".git" / "inside.jsonl", [row("hidden too")])
    (folder / "README.md").write_text("# data")
    (folder / "_SUCCESS").touch()
    write(folder / "kept.parquet", [row("kept")])
    (folder / "kept.manifest.json").write_text('{"kept": 1}')
    write_lines(folder / "kept.pairs.jsonl", [{"kind": "ngram"}])
    write_lines(folder / "mine.pairs.jsonl", [row("mine")])
    assert questions(Corpus.open([folder])) == ["kept", "mine", "seen"]


def test_what_cannot_be_opened_is_one_sentence_that_names_it(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "t.csv").write_text("a,b")
    cases = {
        "empty": r"the folder .*empty holds no \.parquet, \.jsonl, \.json file; check the path",
        "t.csv": r"t\.csv is no \.parquet, \.jsonl, \.json file; convert it",
        "none.csv": r"none\.csv does not exist; check the path",
        "none.jsonl": r"none\.jsonl does not exist; check the path",
        "none.parquet": r"none\.parquet does not exist; check the path",
        "no/folder": r"no/folder does not exist; check the path",
    }
    for name, message in cases.items():
        with pytest.raises(SparftError, match=message) as caught:
            open_sources([tmp_path / name])
        assert "\n" not in str(caught.value)
    for name in ("./none/here", "~/none", "none", "a/b/c"):
        with pytest.raises(SparftError, match=f"{name} does not exist; check the path"):
            open_sources([name])
    with pytest.raises(SparftError, match="no input was given; name at least one"):
        open_sources([])


RICH = [
    row(str(i))
    | {
        "images": [{"bytes": bytes([0, 255, i]), "path": None}],
        "nested": {"steps": [{"n": i, "why": ["a"] * i}], "none": None},
        "blob": b"\x00\xff" * i,
        "matrix": [[i, 1], [2, 3]],
    }
    for i in range(4)
]


@pytest.fixture
def datasets():
    return pytest.importorskip("datasets")


@pytest.fixture
def rich(datasets):
    features = datasets.Dataset.from_list(RICH).features
    features["images"] = [datasets.Image()]
    features["nested"]["none"] = datasets.Value("string")
    features["matrix"] = datasets.Array2D(shape=(2, 2), dtype="int32")
    return datasets.Dataset.from_list(RICH, features=features)


def test_a_saved_dataset_carries_images_nested_features_and_binary_through(
    tmp_path, rich, datasets
):
    rich.save_to_disk(tmp_path / "saved")
    corpus = Corpus.open([tmp_path / "saved"])
    assert questions(corpus) == ["0", "1", "2", "3"]
    taken = corpus.take(np.array([3, 1]))
    assert taken.to_pylist() == [RICH[3], RICH[1]]
    features = datasets.Features.from_arrow_schema(taken.schema)
    assert features == {name: rich.features[name] for name in sorted(rich.features)}


def test_of_saved_splits_train_is_read_in_its_own_order_and_another_is_named_by_its_folder(
    tmp_path, rich, datasets
):
    parts = {"train": rich.select([2, 0, 3]), "test": rich.select([1])}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "both")
    corpus = Corpus.open([tmp_path / "both"])
    assert questions(corpus) == ["2", "0", "3"]
    assert corpus.take(np.array([1]))["blob"].to_pylist() == [RICH[0]["blob"]]
    assert questions(Corpus.open([tmp_path / "both" / "test"])) == ["1"]
    with pytest.raises(SparftError, match="has 3 rows, but row 3 is asked for"):
        corpus.take(np.array([3]))


def test_saved_splits_without_train_and_a_damaged_dataset_are_named(tmp_path, rich, datasets):
    datasets.DatasetDict({"training": rich}).save_to_disk(tmp_path / "saved")
    with pytest.raises(SparftError, match="'train'; did you mean 'training'.* Known: training"):
        open_sources([tmp_path / "saved"])
    (tmp_path / "saved" / "training" / "state.json").write_text("{")
    with pytest.raises(SparftError, match="training cannot be read as a saved dataset: "):
        open_sources([tmp_path / "saved" / "training"])


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("some/data", ("some/data", None, "train")),
        ("some/data:test", ("some/data", None, "test")),
        ("some/data:main:test[:3]", None),
        ("some/data:main:test", ("some/data", "main", "test")),
    ],
)
def test_a_name_on_the_hub_may_name_config_and_split(monkeypatch, rich, datasets, given, asked):
    calls = []

    def load(name, config, *, split):
        calls.append((name, config, split))
        return rich

    monkeypatch.setattr(datasets, "load_dataset", load)
    if asked is None:
        with pytest.raises(SparftError, match=r"too many colons; write OWNER/NAME\[:CONFIG\]"):
            open_sources([given])
    else:
        (source,) = open_sources([given])
        assert (calls, source.name) == ([asked], given)


@pytest.mark.parametrize("kind", ["ConnectionError", "ValueError", "DatasetGenerationError"])
def test_a_name_that_the_hub_does_not_give_is_one_sentence(monkeypatch, datasets, kind):
    error = getattr(datasets.exceptions, kind, None) or {
        "ConnectionError": ConnectionError,
        "ValueError": ValueError,
    }.get(kind)

    def offline(*args, **kwargs):
        raise error("no route\nand a long story")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    with pytest.raises(SparftError) as caught:
        open_sources(["no-one/nothing"])
    assert str(caught.value) == (
        "no-one/nothing is no file here, and cannot be loaded from the Hugging Face hub (no "
        "route); check the path or the name, OWNER/NAME[:CONFIG][:SPLIT], and the network."
    )


def test_without_the_library_the_install_command_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(SparftError, match=r"pip install 'sparft-plugin\[hub\]'"):
        open_sources(["some/data"])


def test_parquet_rows_are_taken_across_row_groups_and_one_too_many_is_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(sums(10)), tmp_path / "t.parquet", row_group_size=3)
    corpus = Corpus.open([tmp_path / "t.parquet"], Columns())
    assert corpus.take(np.array([9, 0, 4])).to_pylist() == [sums(10)[i] for i in (9, 0, 4)]
    with pytest.raises(SparftError, match=r"t\.parquet has 10 rows, but row 10 is asked for"):
        corpus.take(np.array([0, 10]))
