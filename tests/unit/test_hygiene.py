"""What is left out of a pool, why, and the file that proves it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin import SparftError
from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction.hygiene import Evaluation, Hygiene, clean, write_pairs
from tests.unit.reduction_data import row
from tests.unit.test_hygiene_near import unit

COPY = "A train leaves at nine and rides for three hours; how far does it come?"
REWORDED = "Nine o'clock: off goes the train. Where is it at noon?"
POOL = [
    "What is 1 + 1?",
    COPY,
    "Two cats and three dogs make how many animals?",
    REWORDED,
    "How many animals are two cats and three dogs?",
]
VECTORS = unit([1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0.1], [0, 1, 0, 0.2], [0, 0, 1, 0.2])


def table(texts: list[str]) -> PromptTable:
    return PromptTable.from_rows([row(text) for text in texts], source="pool.parquet")


def by_id(prompts: PromptTable, vectors: np.ndarray) -> np.ndarray:
    return vectors[np.argsort(prompts.ids)]


def evaluation(texts: list[str], vectors: np.ndarray | None = None, **changes) -> Evaluation:
    fields = {"name": "test.parquet", "rows": np.arange(len(texts)) + 10} | changes
    return Evaluation(texts=texts, vectors=vectors, **fields)


TRAINS = evaluation(["Something else entirely?", COPY.upper()], unit([0, 0, 0, 1], [0, 1, 0, 0]))


def cleaned(**changes) -> Hygiene:
    options = {"near_duplicate_threshold": 0.95} | changes
    return clean(table(POOL), by_id(table(POOL), VECTORS), [TRAINS], **options)


def test_copies_rewordings_and_near_duplicates_are_left_out():
    prompts, hygiene = table(POOL), cleaned()
    first, second = sorted([2, 4], key=prompts.ids.__getitem__)
    assert [pair[:2] for pair in hygiene.near_duplicates] == [(second, first)]
    assert {found[:4] for found in hygiene.contaminated} == {
        (1, 0, 1, "ngram"),
        (1, 0, 1, "similar"),
        (3, 0, 1, "similar"),
    }
    assert np.flatnonzero(hygiene.kept).tolist() == [0, first]


def test_counts_are_numbers_of_prompts_in_plain_json():
    sets = [TRAINS, evaluation(["Who?"], name="other.jsonl")]
    vectors = by_id(table(POOL), VECTORS)
    counts = clean(table(POOL), vectors, sets, near_duplicate_threshold=0.95).counts
    assert json.loads(json.dumps(counts)) == counts
    assert counts == {
        "near_duplicates": 1,
        "contaminated": {
            "total": 2,
            "by_file": {"test.parquet": 2, "other.jsonl": 0},
            "by_kind": {"ngram": 1, "similar": 2},
        },
        "stock_phrases": {"test.parquet": 0, "other.jsonl": 0},
        "thresholds": {"near_duplicate": 0.95, "ngram": 13, "similarity": 0.9},
    }


def test_a_contaminated_prompt_stands_for_no_near_duplicate():
    prompts = table(POOL)
    smallest = min([2, 4], key=prompts.ids.__getitem__)
    copy = evaluation([POOL[smallest]])
    hygiene = clean(prompts, by_id(prompts, VECTORS), [copy], near_duplicate_threshold=0.99)
    assert hygiene.near_duplicates == []
    assert hygiene.kept.tolist() == [i != smallest for i in range(5)]


def test_without_vectors_and_evaluations_nothing_is_left_out_and_words_need_none():
    hygiene = clean(table(POOL))
    assert (hygiene.kept.all(), hygiene.contaminated, hygiene.near_duplicates) == (True, [], [])
    hygiene = clean(table(POOL), None, [evaluation([COPY])])
    assert [found[:4] for found in hygiene.contaminated] == [(1, 0, 0, "ngram")]


@given(st.permutations(range(5)))
def test_the_order_of_the_rows_permutes_nothing(order):
    texts = [POOL[i] for i in order]
    vectors = by_id(table(texts), VECTORS[list(order)])
    there = clean(table(texts), vectors, [TRAINS], near_duplicate_threshold=0.95)
    here = cleaned()
    kept = [order[i] for i in np.flatnonzero(there.kept)]
    assert sorted(kept) == np.flatnonzero(here.kept).tolist()
    assert [(order[f.position], *f[1:]) for f in there.contaminated] == here.contaminated
    assert [
        (order[f.removed], order[f.kept], f.cosine) for f in there.near_duplicates
    ] == here.near_duplicates
    assert there.counts == here.counts


EMPTY = evaluation([], name="empty.jsonl")
REFUSED = {
    "empty.jsonl has no prompts.*leave it out": (None, [EMPTY], {}),
    r"all 5 prompts are contaminated \(test.parquet: 5\); check": (None, [evaluation(POOL)], {}),
    "cosines need the vectors": (None, [TRAINS], {}),
    "pool.parquet has 5 prompts but 4 vectors": (VECTORS[:4], [TRAINS], {}),
    r"test.parquet have shape \(1, 2\) instead of \(1, 4\); encode": (
        VECTORS,
        [evaluation(["a"], unit([1, 0]))],
        {},
    ),
    "1 prompts but 2 row numbers": (VECTORS, [evaluation(["a"], rows=np.arange(2))], {}),
    "near_duplicate_threshold=95 must": (VECTORS, [], {"near_duplicate_threshold": 95.0}),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_compared_is_refused_with_the_mend(message):
    vectors, sets, options = REFUSED[message]
    with pytest.raises(SparftError, match=message):
        clean(table(POOL), vectors, sets, **options)


def test_the_file_holds_one_line_for_each_pair(tmp_path):
    prompts, hygiene = table(POOL), cleaned()
    path = write_pairs(tmp_path / "pairs.jsonl", hygiene, prompts, [TRAINS])
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [line["kind"] for line in lines[-1:]] == ["near_duplicate"]
    ids = [line["removed_id"] for line in lines[:-1]]
    assert ids == sorted(ids)
    assert {
        "kind": "ngram",
        "score": 1.0,
        "removed_id": prompts.ids[1],
        "removed_row": 1,
        "removed_text": COPY,
        "file": "test.parquet",
        "id": None,
        "row": 11,
        "text": COPY.upper(),
        "shared": "a train leaves at nine and rides for three hours how far does it come",
    } in lines
    removed, kept, _ = hygiene.near_duplicates[0]
    assert lines[-1] == {
        "kind": "near_duplicate",
        "score": 0.995229,
        "removed_id": prompts.ids[removed],
        "removed_row": removed,
        "removed_text": POOL[removed],
        "file": None,
        "id": prompts.ids[kept],
        "row": kept,
        "text": POOL[kept],
        "shared": None,
    }


def test_long_texts_are_cut_and_scripts_survive(tmp_path):
    texts = ["长" * 5000, "half a \ud83d pair"]
    prompts = table([*texts, "another"])
    hygiene = clean(prompts, None, [evaluation(texts)])
    path = write_pairs(tmp_path / "pairs.jsonl", hygiene, prompts, [evaluation(texts)])
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert {line["text"] for line in lines} == {"长" * 1997 + "...", "half a \ud83d pair"}
    assert "长长" in path.read_text("utf-8")


def test_a_missing_folder_is_named_and_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "pairs.jsonl"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(SparftError, match="missing/pairs.jsonl cannot be written"):
        write_pairs(tmp_path / "missing" / "pairs.jsonl", cleaned(), table(POOL), [TRAINS])
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(SparftError, match=r"pairs.jsonl cannot be written .*No space left"):
        write_pairs(path, cleaned(), table(POOL), [TRAINS])
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
